// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// bothWays configures home/# in both directions.
func bothWays(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge {
	b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "home/#", QoS: ptr.To[int32](2)}}
	b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "home/#", QoS: ptr.To[int32](2)}}
	return b
}

func TestLoops_SameFilterInBothDirections_ForwardsEachMessageOnce(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.here.Subscribe("#")
	mqtttest.StartRunner(t, bothWays(manifest("home", p.local.URL(), p.remote.URL()))).WaitActive("primary", eventTimeout)
	for i := range 30 {
		p.here.Publish(&paho.Publish{Topic: "home/up", QoS: byte(i % 3), Retain: i%2 == 0, Payload: []byte("x")})
		p.there.Publish(&paho.Publish{Topic: "home/down", QoS: byte(i % 3), Retain: i%2 == 0, Payload: []byte("x")})
	}
	// A message in a loop would have arrived before these messages.
	for _, last := range []string{"home/last1", "home/last2"} {
		p.here.Publish(&paho.Publish{Topic: last, QoS: 2, Payload: []byte("x")})
		p.there.Wait(last, 1, eventTimeout)
		p.there.Publish(&paho.Publish{Topic: last + "/back", QoS: 2, Payload: []byte("x")})
		p.here.Wait(last+"/back", 1, eventTimeout)
	}
	for _, c := range []*mqtttest.Client5{p.here, p.there} {
		for _, topic := range []string{"home/up", "home/down"} {
			if got := c.Wait(topic, 30, eventTimeout); len(got) != 30 {
				t.Errorf("%d messages arrived under %s, want 30", len(got), topic)
			}
		}
		if n := len(c.Received("home/last1")); n != 1 {
			t.Errorf("home/last1 arrived %d times, want 1", n)
		}
	}
}

// withoutBridgeFlag starts a proxy in front of a broker that removes the bridge flag, so that the
// broker accepts the connection and sends the bridge's own messages back.
func withoutBridgeFlag(t *testing.T, target string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				broker, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer func() { _ = broker.Close() }()
				first := make([]byte, 4096)
				n, err := c.Read(first) // the CONNECT arrives in one read
				if err != nil {
					return
				}
				_, _ = broker.Write(bytes.Replace(first[:n], []byte("MQTT\x84"), []byte("MQTT\x04"), 1))
				go func() { _, _ = io.Copy(c, broker); _ = c.Close() }()
				_, _ = io.Copy(broker, c)
			}()
		}
	}()
	return "mqtt://" + l.Addr().String()
}

func TestLoops_ServersThatStillSendBack_AreNotUsed(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	b := bothWays(speaking(manifest("echo", withoutBridgeFlag(t, p.local.Address()), withoutBridgeFlag(t, p.remote.Address())), v311, v311))
	r := mqtttest.StartRunner(t, b)
	r.WaitActive("primary", eventTimeout)
	p.here.Publish(&paho.Publish{Topic: "home/x", QoS: 1, Payload: []byte("x")})
	r.WaitStatus(eventTimeout, "a side stops using its server", func(s v1alpha1.MQTTBridgeStatus) error {
		for _, side := range []*v1alpha1.SideStatus{s.Local, s.Remote} {
			if e := side.Servers[0]; e.LastError != nil && e.LastError.Reason == v1alpha1.ReasonEchoNotPrevented && strings.Contains(e.LastError.Message, "protocolVersion: '5'") {
				return nil
			}
		}
		return fmt.Errorf("local %+v, remote %+v", s.Local.Servers, s.Remote.Servers)
	})
	if n := len(p.there.Received("home/x")); n > 100 {
		t.Errorf("the message arrived %d times before the bridge detected the loop", n)
	}

	b.Spec.RemoteToLocal = nil // the rules form no loop any more
	r.Update(b)
	r.WaitActive("primary", eventTimeout)
	p.here.Publish(&paho.Publish{Topic: "home/after", QoS: 1, Payload: []byte("x")})
	p.there.Wait("home/after", 1, eventTimeout)
}

func TestSubscriptions_CrossingFilters_LoseNothingWhileRemoteSideIsDown(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	b := manifest("crossing", p.local.URL(), p.remote.URL())
	b.Spec.LocalToRemote = []v1alpha1.Rule{
		{Filter: "a/+/+", Topic: "low/${topic}", QoS: ptr.To[int32](0)},
		{Filter: "+/b/+", Topic: "high/${topic}", QoS: ptr.To[int32](1), Retain: ptr.To(v1alpha1.RetainSet)},
	}
	r := mqtttest.StartRunner(t, b)
	r.WaitActive("primary", eventTimeout)
	p.remote.Stop()
	mqtttest.Eventually(t, eventTimeout, "the remote side is lost", func() error {
		if s, err := r.Status(); err != nil || s.Remote.Active != nil {
			return fmt.Errorf("active: %v, %w", s.Remote, err)
		}
		return nil
	})
	const messages = 20
	for i := range messages {
		p.here.Publish(&paho.Publish{Topic: fmt.Sprintf("a/b/%d", i), QoS: 1, Payload: []byte("x")})
	}
	p.remote.Start()
	there := mqtttest.StartClient5(t, p.remote, "again")
	there.Subscribe("#") // the bridge and this client may connect in any order
	for i := range messages {
		there.Wait(fmt.Sprintf("high/a/b/%d", i), 1, eventTimeout)
	}
}
