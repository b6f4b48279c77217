// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// speaking sets the MQTT version of each side.
func speaking(b *v1alpha1.MQTTBridge, local, remote v1alpha1.ProtocolVersion) *v1alpha1.MQTTBridge {
	b.Spec.Local.ProtocolVersion, b.Spec.Remote.ProtocolVersion = &local, &remote
	return b
}

const (
	v311 = v1alpha1.ProtocolVersion311
	v5   = v1alpha1.ProtocolVersion5
)

// pair is a local and a remote broker, with an MQTT 5 client at each.
type pair struct {
	local, remote *mqtttest.Broker
	here, there   *mqtttest.Client5
}

// newPair starts the brokers. The remote client subscribes to all topics.
func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{
		local:  mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"}),
		remote: mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", Persistence: true}),
	}
	p.here = mqtttest.StartClient5(t, p.local, "here")
	p.there = mqtttest.StartClient5(t, p.remote, "there")
	p.there.Subscribe("#")
	return p
}

// mark publishes to the topic mark, which a rule must forward, and waits for it. Messages that were
// published before and have not arrived by then will not arrive.
func (p *pair) mark() {
	before := len(p.there.Received("mark"))
	p.here.Publish(&paho.Publish{Topic: "mark", QoS: 1, Payload: []byte("x")})
	p.there.Wait("mark", before+1, eventTimeout)
}

// full returns a message with all properties of MQTT 5.
func full(topic string) *paho.Publish {
	return &paho.Publish{
		Topic: topic, QoS: 1, Payload: []byte("21.5 °C"), Retain: true,
		Properties: &paho.PublishProperties{
			PayloadFormat:   ptr.To(byte(1)),
			MessageExpiry:   ptr.To(uint32(3600)),
			ContentType:     "text/plain",
			ResponseTopic:   "answers/7",
			CorrelationData: []byte{0, 1, 0xff, 'a'},
			User:            paho.UserProperties{{Key: "z", Value: "1"}, {Key: "a", Value: "2"}, {Key: "z", Value: "1"}, {Key: "empty", Value: ""}},
		},
	}
}

func TestMQTT5_Properties_AreForwardedAndExtendedByRules(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	b := speaking(manifest("properties", p.local.URL(), p.remote.URL()), v5, v5)
	b.Spec.LocalToRemote = append(b.Spec.LocalToRemote, v1alpha1.Rule{Filter: "added/#", UserProperties: []v1alpha1.UserProperty{
		{Name: "plant", Value: "one"}, {Name: "z", Value: "3"},
	}})
	mqtttest.StartRunner(t, b).WaitActive("primary", eventTimeout)
	for _, c := range []struct {
		topic string
		more  paho.UserProperties
	}{
		{"up/x", nil},
		{"added/x", paho.UserProperties{{Key: "plant", Value: "one"}, {Key: "z", Value: "3"}}},
	} {
		sent := full(c.topic)
		p.here.Publish(sent)
		got := p.there.Wait(c.topic, 1, eventTimeout)[0]
		want := sent.Properties
		g := got.Properties
		if !bytes.Equal(got.Payload, sent.Payload) || !got.Retain || got.QoS != 1 {
			t.Errorf("%s: arrived as %v", c.topic, got)
		}
		if g.PayloadFormat == nil || *g.PayloadFormat != 1 || g.ContentType != want.ContentType || g.ResponseTopic != want.ResponseTopic ||
			!bytes.Equal(g.CorrelationData, want.CorrelationData) {
			t.Errorf("%s: properties %+v, want %+v", c.topic, g, want)
		}
		if g.MessageExpiry == nil || *g.MessageExpiry > 3600 || *g.MessageExpiry < 3600-uint32(eventTimeout/time.Second) {
			t.Errorf("%s: expiry %v, want the rest of 3600 seconds", c.topic, g.MessageExpiry)
		}
		if users := slices.Concat(want.User, c.more); !slices.Equal(g.User, users) {
			t.Errorf("%s: user properties %v, want %v", c.topic, g.User, users)
		}
	}
	p.here.Publish(&paho.Publish{Topic: "added/plain", QoS: 0, Payload: []byte("x")})
	if got := p.there.Wait("added/plain", 1, eventTimeout)[0]; len(got.Properties.User) != 2 || got.Properties.MessageExpiry != nil {
		t.Errorf("a message without properties arrived with %+v", got.Properties)
	}
}

func TestMQTT5_DifferentVersions_ForwardWithoutProperties(t *testing.T) {
	t.Parallel()
	for _, versions := range [][2]v1alpha1.ProtocolVersion{{v5, v311}, {v311, v5}} {
		t.Run(fmt.Sprintf("from %s to %s", versions[0], versions[1]), func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			b := speaking(manifest("versions", p.local.URL(), p.remote.URL()), versions[0], versions[1])
			mqtttest.StartRunner(t, b).WaitActive("primary", eventTimeout)
			sent := full("up/x")
			p.here.Publish(sent)
			got := p.there.Wait("up/x", 1, eventTimeout)[0]
			if !bytes.Equal(got.Payload, sent.Payload) || !got.Retain {
				t.Errorf("arrived as %v", got)
			}
			if g := got.Properties; g.ContentType != "" || g.ResponseTopic != "" || g.CorrelationData != nil || g.PayloadFormat != nil || g.MessageExpiry != nil || len(g.User) != 0 {
				t.Errorf("arrived with the properties %+v", g)
			}
		})
	}
}

// dropped returns the runner's count of messages to the remote side that it dropped with a cause.
func dropped(r *mqtttest.Runner, cause string) float64 {
	return r.Metrics().Sum("mqttbridge_messages_dropped_total", "direction=localToRemote", "cause="+cause)
}

func held(r *mqtttest.Runner) float64 {
	return r.Metrics().Sum("mqttbridge_held_messages", "direction=localToRemote")
}

func TestMQTT5_WaitingMessage_ArrivesWithRemainingExpiryOrIsDropped(t *testing.T) {
	t.Parallel()
	for _, remote := range []v1alpha1.ProtocolVersion{v311, v5} {
		t.Run(fmt.Sprintf("to %s", remote), func(t *testing.T) {
			t.Parallel()
			waitAndExpire(t, remote)
		})
	}
}

func waitAndExpire(t *testing.T, remote v1alpha1.ProtocolVersion) {
	t.Helper()
	p := newPair(t)
	b := retry(speaking(manifest("expiry", p.local.URL(), p.remote.URL()), v5, remote), 50, 1)
	r := mqtttest.StartRunner(t, b)
	r.WaitActive("primary", eventTimeout)
	p.remote.Stop()
	r.WaitStatus(eventTimeout, "the loss is detected", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote.Active != nil {
			return fmt.Errorf("%s is active", s.Remote.Active.Name)
		}
		return nil
	})
	const short, long = 2, 600
	sent := time.Now()
	for _, expiry := range []uint32{long, short} {
		// The message is retained, because the bridge may connect before the subscriber.
		p.here.Publish(&paho.Publish{Topic: fmt.Sprint("up/", expiry), QoS: 1, Retain: true, Payload: []byte("x"), Properties: &paho.PublishProperties{MessageExpiry: &expiry}})
	}
	mqtttest.Eventually(t, eventTimeout, "both wait in the runner", func() error {
		if n := held(r); n != 2 {
			return fmt.Errorf("%v messages are held", n)
		}
		return nil
	})
	mqtttest.Eventually(t, eventTimeout, "the shorter expiry has passed", func() error {
		if waited := time.Since(sent); waited < (short+1)*time.Second {
			return fmt.Errorf("%s of %d s", waited, short+1)
		}
		return nil
	})
	p.remote.Start()
	p.there = mqtttest.StartClient5(t, p.remote, "there again")
	p.there.Subscribe("up/#")
	got := p.there.Wait(fmt.Sprint("up/", long), 1, eventTimeout)[0]
	left, waited := got.Properties.MessageExpiry, uint32(time.Since(sent)/time.Second)
	switch {
	case remote == v311:
		if left != nil {
			t.Errorf("%d s of expiry arrived with MQTT 3.1.1", *left)
		}
	case left == nil:
		t.Error("the expiry did not arrive")
	case *left > long-short || *left < long-waited-2:
		t.Errorf("%d s remain of %d after %d", *left, long, waited)
	}
	if n := dropped(r, "expired"); n != 1 {
		t.Errorf("%v messages were dropped as expired, want 1", n)
	}
	mqtttest.Eventually(t, eventTimeout, "no message waits", func() error {
		if n := held(r); n != 0 {
			return fmt.Errorf("%v messages are held", n)
		}
		return nil
	})
	if n := len(p.there.Received(fmt.Sprint("up/", short))); n != 0 {
		t.Error("the expired message was forwarded")
	}
}

func TestMQTT5_OverlappingFilters_ForwardOncePerRule(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	b := speaking(manifest("overlap", p.local.URL(), p.remote.URL()), v5, v5)
	b.Spec.LocalToRemote = []v1alpha1.Rule{
		{Filter: "a/+", Topic: "one/${topic}"},
		{Filter: "+/b", Topic: "two/${topic}"},
		{Filter: "a/b", Topic: "three/${topic}"},
		{Name: "four", Filter: "a/b", Topic: "four/${topic}"},
		{Filter: "mark"},
	}
	mqtttest.StartRunner(t, b).WaitActive("primary", eventTimeout)
	for _, topic := range []string{"a/b", "a/c", "x/b"} {
		p.here.Publish(&paho.Publish{Topic: topic, QoS: 1})
	}
	p.mark()
	var got []string
	for _, m := range p.there.Received("") {
		got = append(got, m.Topic)
	}
	slices.Sort(got)
	want := []string{"four/a/b", "mark", "one/a/b", "one/a/c", "three/a/b", "two/a/b", "two/x/b"}
	if !slices.Equal(got, want) {
		t.Errorf("arrived: %v, want %v", got, want)
	}
}

// A rule of remoteToLocal matches the messages of a rule of localToRemote, and publishes them to another local topic. This
// is no loop, but an echo.
func TestEcho_OwnMessages_AreNotReturned(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		version v1alpha1.ProtocolVersion
		mode    v1alpha1.BridgeMode
		echo    bool
	}{
		{"MQTT 5", v5, v1alpha1.BridgeModeAuto, false},
		{"MQTT 5, not as a bridge", v5, v1alpha1.BridgeModeOff, false},
		{"MQTT 3.1.1, as a bridge", v311, v1alpha1.BridgeModeAuto, false},
		{"MQTT 3.1.1, not as a bridge", v311, v1alpha1.BridgeModeOff, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			b := speaking(manifest("echo", p.local.URL(), p.remote.URL()), tc.version, tc.version)
			b.Spec.Local.BridgeMode, b.Spec.Remote.BridgeMode = &tc.mode, &tc.mode
			b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "a/#", Topic: "b/${1}"}}
			b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "b/#", Topic: "c/${1}"}}
			p.here.Subscribe("c/#")
			mqtttest.StartRunner(t, b).WaitActive("primary", eventTimeout)
			p.here.Publish(&paho.Publish{Topic: "a/own", QoS: 1})
			p.there.Wait("b/own", 1, eventTimeout)
			p.there.Publish(&paho.Publish{Topic: "b/other", QoS: 1})
			p.here.Wait("c/other", 1, eventTimeout)
			if echo := len(p.here.Received("c/own")) > 0; echo != tc.echo {
				t.Errorf("the message returned: %t, want %t", echo, tc.echo)
			}
		})
	}
}
