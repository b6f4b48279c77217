// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"maps"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// sameFilterBothWays configures the same filter in both directions. This requires servers that do
// not send the bridge's own messages back.
func sameFilterBothWays(l *line) {
	home := []v1alpha1.Rule{{Filter: l.topic("home/#")}}
	l.bridge.Spec.LocalToRemote, l.bridge.Spec.RemoteToLocal = home, home
	if l.version == v1alpha1.ProtocolVersion311 && !l.peer.bridgeFlag {
		l.prepare(password)
		l.runner.Start()
		l.awaitError(v1alpha1.ReasonEchoNotPrevented, "protocolVersion: '5'")
		return
	}
	l.connect()
	near, far := l.client(l.local.Source()), l.client(l.remote.Source())
	near.subscribe(l.topic("home/#"))
	far.subscribe(l.topic("home/#"))
	// Each message must arrive once at both clients. A message in a loop would arrive before the
	// next message of the other side.
	for _, payload := range []string{"1", "2", "3"} {
		for name, publisher := range map[string]*client{"near": near, "far": far} {
			publisher.publish(l.topic("home/"+name), 1, false, []byte(payload))
			for _, c := range []*client{near, far} {
				if m := c.next(); m.Topic() != l.topic("home/"+name) || string(m.Payload()) != payload {
					l.Errorf("%q arrived under %s, want %q under home/%s", m.Payload(), m.Topic(), payload, name)
				}
			}
		}
	}
}

// crossingFilters configures two filters with different QoS that match the same message and do not
// cover each other.
func crossingFilters(l *line) {
	l.bridge.Spec.RemoteToLocal = []v1alpha1.Rule{
		{Filter: l.topic("a/+"), Topic: l.topic("near/low"), QoS: ptr.To[int32](0)},
		{Filter: l.topic("+/b"), Topic: l.topic("near/high"), QoS: ptr.To[int32](1)},
		{Filter: l.topic("mark"), Topic: l.topic("near/mark")},
	}
	l.connect()
	near, far := l.client(l.local.Source()), l.client(l.remote.Source())
	near.subscribe(l.topic("near/#"))
	const messages = 5
	for range messages {
		far.publish(l.topic("a/b"), 1, false, []byte("x"))
	}
	far.publish(l.topic("mark"), 1, false, []byte("x"))
	type arrival struct {
		topic string
		qos   byte
	}
	got := map[arrival]int{}
	for {
		m := near.next()
		if m.Topic() == l.topic("near/mark") {
			break
		}
		got[arrival{m.Topic(), m.Qos()}]++
	}
	want := map[arrival]int{{l.topic("near/low"), 0}: messages, {l.topic("near/high"), 1}: messages}
	if l.peer.breaksCrossing && strings.Contains(l.runner.Log(), "connection lost") {
		for a := range want {
			want[a] = max(messages, got[a])
		}
	}
	if !maps.Equal(got, want) {
		l.Errorf("%v arrived, want %v", got, want)
	}
}
