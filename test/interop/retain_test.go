// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"maps"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// retainPolicies lists the retain policies, and the messages that the far side then retains: stored
// is a message that the near side retained before the bridge subscribed; live is a message that was
// published afterwards.
var retainPolicies = []struct {
	policy       v1alpha1.RetainPolicy
	stored, live bool
}{
	// Whether live messages keep the flag depends on the near server.
	{v1alpha1.RetainKeep, true, true},
	{v1alpha1.RetainClear, false, false},
	{v1alpha1.RetainSet, true, true},
}

func retainIsKeptSetAndCleared(l *line) {
	topic := func(w way, p v1alpha1.RetainPolicy, last string) string {
		return l.topic(w.name + "/" + string(p) + "/" + last)
	}
	rules := func(w way) (rules []v1alpha1.Rule) {
		for _, p := range retainPolicies {
			// Filters without wildcards deliver retained messages from all servers.
			for _, last := range []string{"stored", "live"} {
				rules = append(rules, v1alpha1.Rule{Filter: topic(w, p.policy, last), Retain: &p.policy})
			}
			l.client(w.from).publish(topic(w, p.policy, "stored"), 1, true, []byte("stored"))
		}
		return rules
	}
	far := map[string]*client{}
	for _, w := range l.directions() {
		if w.name == "up" {
			l.bridge.Spec.LocalToRemote = rules(w)
		} else {
			l.bridge.Spec.RemoteToLocal = rules(w)
		}
		far[w.name] = l.client(w.to)
		far[w.name].subscribe(l.topic(w.name + "/#"))
	}
	l.connect()
	for _, w := range l.directions() {
		for range retainPolicies {
			far[w.name].next() // the stored message
		}
		for _, p := range retainPolicies {
			l.client(w.from).publish(topic(w, p.policy, "live"), 1, true, []byte("live"))
			far[w.name].next()
		}
		keepsLive := w.name == "up" || l.peer.bridgeFlag || l.version == v1alpha1.ProtocolVersion5
		for _, p := range retainPolicies {
			want := map[string]string{}
			if p.stored {
				want[topic(w, p.policy, "stored")] = "stored"
			}
			if p.live && (p.policy != v1alpha1.RetainKeep || keepsLive) {
				want[topic(w, p.policy, "live")] = "live"
			}
			got := l.retained(w.to, topic(w, p.policy, "stored"), topic(w, p.policy, "live"))
			if !maps.Equal(got, want) {
				l.Errorf("%s: with policy %s, the far server retains %v, want %v", w.name, p.policy, got, want)
			}
		}
	}
}

func retainedArriveAtSubscribing(l *line) {
	set := v1alpha1.RetainSet
	l.bridge.Spec.RemoteToLocal = []v1alpha1.Rule{
		{Filter: l.topic("down/exact"), Retain: &set}, {Filter: l.topic("down/by/+"), Retain: &set},
	}
	exact, wildcard := l.topic("down/exact"), l.topic("down/by/wildcard")
	far, near := l.client(l.remote.Source()), l.client(l.local.Source())
	far.publish(exact, 1, true, []byte("a"))
	far.publish(wildcard, 1, true, []byte("b"))
	near.subscribe(l.topic("down/#"))
	l.connect()
	want := map[string]string{exact: "a"}
	if l.peer.retainedByWildcard {
		want[wildcard] = "b"
	}
	// The live message shows that no further retained message arrives.
	end := l.topic("down/by/end")
	for n := 0; n < len(want); n++ {
		near.next()
	}
	far.publish(end, 1, false, []byte("end"))
	if m := near.next(); m.Topic() != end {
		l.Errorf("unexpected message under %s", m.Topic())
	}
	if got := l.retained(l.local.Source(), exact, wildcard); !maps.Equal(got, want) {
		l.Errorf("the local server retains %v, want %v", got, want)
	}
}

func retainedIsDeleted(l *line) {
	set := v1alpha1.RetainSet
	for _, rules := range [][]v1alpha1.Rule{l.bridge.Spec.LocalToRemote, l.bridge.Spec.RemoteToLocal} {
		for i := range rules {
			rules[i].Retain = &set
		}
	}
	l.connect()
	for _, w := range l.directions() {
		near, far := l.client(w.from), l.client(w.to)
		topic := l.topic(w.name + "/x")
		far.subscribe(topic)
		for _, payload := range []string{"x", ""} {
			near.publish(topic, 1, true, []byte(payload))
			m := far.next()
			for m.Retained() { // Mochi answers the subscription with a message that it has stored since, and sends that one, too
				m = far.next()
			}
			if string(m.Payload()) != payload {
				l.Fatalf("%s: %q arrived, want %q", w.name, m.Payload(), payload)
			}
			if got := l.retained(w.to, topic); got[topic] != payload {
				l.Errorf("%s: after %q, the far server retains %v", w.name, payload, got)
			}
		}
	}
}

func willsAreForwarded(l *line) {
	l.connect()
	for _, w := range l.directions() {
		far := l.client(w.to)
		far.subscribe(l.topic(w.name + "/#"))
		for qos := range byte(3) {
			l.die(w.from, l.topic(w.name+"/will"), qos, []byte{'0' + qos})
			if m := far.next(); string(m.Payload()) != string('0'+rune(qos)) || m.Qos() != l.qos(qos) {
				l.Errorf("%s: the will at QoS %d arrived as %q at QoS %d", w.name, qos, m.Payload(), m.Qos())
			}
		}
	}
}
