// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// slowly starts a relay in front of a broker that limits the data from the broker to rate bytes per
// second.
func slowly(t *testing.T, target string, rate int) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go relaySlowly(client, target, rate)
		}
	}()
	return "mqtt://" + listener.Addr().String()
}

func relaySlowly(client net.Conn, target string, rate int) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	const perSecond = 50
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.CopyN(client, server, int64(rate/perSecond)); err != nil {
			return
		}
	}
}

// The queued messages of the session arrive before the SUBACK, and take longer than the connect
// timeout.
func TestSubscribing_QueueOnSlowLinkBeforeSuback_ConnectsAndForwardsEachOnce(t *testing.T) {
	t.Parallel()
	const (
		messages = 300
		size     = 1000
		rate     = 60_000 // 5 s for all messages
	)
	p := newPair(t)
	b := timeouts(downToo(manifest("queue", p.local.URL(), p.remote.URL())), 1, 10)
	r := mqtttest.StartRunner(t, b)
	r.WaitActive("primary", eventTimeout)
	r.Terminate()
	p.here.Subscribe("down/#")
	for i := range messages {
		p.there.Publish(&paho.Publish{Topic: "down/x", QoS: 1, Payload: fmt.Appendf(nil, "%0*d", size, i)})
	}
	b.Spec.Remote.Primary.URL = slowly(t, p.remote.Address(), rate)
	began := time.Now()
	r = mqtttest.StartRunner(t, b)
	r.WaitActive("primary", drainTimeout)
	took := time.Since(began)
	p.here.Wait("down/x", messages, drainTimeout)
	p.markDown()
	got := p.here.Received("down/x")
	if len(got) != messages {
		t.Errorf("%d messages arrived, want %d", len(got), messages)
	}
	for i, m := range got {
		if want := fmt.Sprintf("%0*d", size, i); string(m.Payload) != want {
			t.Fatalf("message %d is %s", i, strings.TrimLeft(string(m.Payload), "0"))
		}
	}
	if failed := r.Metrics().Sum("mqttbridge_connection_failures_total", "side=remote"); failed > 0 {
		t.Errorf("%v attempts failed", failed)
	}
	t.Logf("connected after %v", took)
}

// markDown publishes a mark on the remote side and waits for it on the local side. Messages that
// were published before and have not arrived by then will not arrive.
func (p *pair) markDown() {
	p.there.Publish(&paho.Publish{Topic: "down/mark", QoS: 1, Payload: []byte("x")})
	p.here.Wait("down/mark", 1, drainTimeout)
}

// With a round trip of 200 ms, 64 rules one after the other would take 13 s.
func TestSubscribing_64RulesOverLongRoundTrip_ConnectsWithinConnectTimeout(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	b := timeouts(manifest("many", p.local.URL(), p.remote.URL()), 2, 10)
	for i := range 64 {
		b.Spec.RemoteToLocal = append(b.Spec.RemoteToLocal, v1alpha1.Rule{Filter: fmt.Sprintf("down/%d", i)})
	}
	b.Spec.Remote.Primary.URL = mqtttest.StartProxy(t, p.remote.Address(), 100*time.Millisecond).URL()
	r := mqtttest.StartRunner(t, b)
	r.WaitActive("primary", eventTimeout)
	if failed := r.Metrics().Sum("mqttbridge_connection_failures_total", "side=remote"); failed > 0 {
		t.Errorf("%v attempts failed", failed)
	}
	p.here.Subscribe("down/#")
	for _, topic := range []string{"down/0", "down/31", "down/63"} {
		p.there.Publish(&paho.Publish{Topic: topic, QoS: 1, Payload: []byte("x")})
		p.here.Wait(topic, 1, eventTimeout)
	}
}

// The status shows a shortfall as long as the connection exists.
func TestSubscribing_ServerGrantsLess_StatusShowsItWhileConnected(t *testing.T) {
	t.Parallel()
	level := byte(4)
	if version == v5 {
		level = 5
	}
	server := script.Listen(t, level)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	b := retry(downToo(manifest("short", local.URL(), "mqtt://"+server.Addr())), 50, 1)
	b.Spec.Remote.BridgeMode = ptr.To(v1alpha1.BridgeModeOff)
	r := mqtttest.StartRunner(t, b)
	connect := func(resumed bool, qos byte) *script.Conn {
		c := server.Accept()
		c.Next()
		c.Send(script.Connack(resumed, nil))
		c.Send(script.Packet{Type: 9, ID: c.Next().ID, Codes: []byte{qos}})
		r.WaitActive("primary", eventTimeout)
		return c
	}
	c := connect(false, 1)
	status, err := r.Status()
	must(t, err)
	if s := status.Remote.Shortfalls; len(s) != 1 || s[0].Reason != v1alpha1.ReasonQoSLowered || !strings.Contains(s[0].Message, `"down/#" (QoS 1 instead of 2)`) {
		t.Errorf("shortfalls: %+v", s)
	}
	_ = c.Close()
	mqtttest.Eventually(t, eventTimeout, "the shortfall disappears with the connection", func() error {
		if status, err = r.Status(); err == nil && len(status.Remote.Shortfalls) > 0 {
			return fmt.Errorf("shortfalls: %+v", status.Remote.Shortfalls)
		}
		return err
	})
	connect(true, 2) // the server grants QoS 2 at the next SUBSCRIBE
	if status, err = r.Status(); err != nil || len(status.Remote.Shortfalls) > 0 {
		t.Errorf("shortfalls: %+v, %v", status.Remote.Shortfalls, err)
	}
}

func TestConnected_MaximumQoSBelowRules_StatusShowsIt(t *testing.T) {
	t.Parallel()
	if version != v5 {
		return // MQTT 3.1.1 has no maximum QoS
	}
	server := script.Listen(t, 5)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	r := mqtttest.StartRunner(t, manifest("lower", local.URL(), "mqtt://"+server.Addr()))
	c := server.Accept()
	c.Next()
	c.Send(script.Connack(false, &packets.Properties{MaximumQOS: ptr.To[byte](0)}))
	r.WaitActive("primary", eventTimeout)
	status, err := r.Status()
	must(t, err)
	if s := status.Remote.Shortfalls; len(s) != 1 || s[0].Reason != v1alpha1.ReasonQoSLowered || !strings.Contains(s[0].Message, "the server accepts messages at QoS 0 at most") {
		t.Errorf("shortfalls: %+v", s)
	}
}
