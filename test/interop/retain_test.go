// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"maps"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// retainPolicies are rules by what becomes of the retain flag, and which of the
// messages the far side then retains: one that the near side had retained before
// the bridge subscribed, and one that came live.
var retainPolicies = []struct {
	policy       v1alpha1.RetainPolicy
	stored, live bool
}{
	{v1alpha1.RetainKeep, true, false},
	{v1alpha1.RetainClear, false, false},
	{v1alpha1.RetainSet, true, true},
}

func retainIsKeptSetAndCleared(l *line) {
	var forwards []v1alpha1.Rule
	for _, p := range retainPolicies {
		forwards = append(forwards, v1alpha1.Rule{Filter: l.topic("up/" + string(p.policy) + "/#"), Retain: &p.policy})
	}
	l.bridge.Spec.Forwards = forwards
	near, far := l.client(l.local.Source()), l.client(l.remote.Source())
	topic := func(p v1alpha1.RetainPolicy, last string) string { return l.topic("up/" + string(p) + "/" + last) }
	for _, p := range retainPolicies {
		near.publish(topic(p.policy, "stored"), 1, true, []byte("stored"))
	}
	far.subscribe(l.topic("up/#"))
	l.connect()
	for _, p := range retainPolicies {
		near.publish(topic(p.policy, "live"), 1, true, []byte("live"))
	}
	for range 2 * len(retainPolicies) {
		far.next()
	}
	for _, p := range retainPolicies {
		want := map[string]string{}
		if p.stored {
			want[topic(p.policy, "stored")] = "stored"
		}
		if p.live {
			want[topic(p.policy, "live")] = "live"
		}
		got := l.retained(l.remote.Source(), topic(p.policy, "stored"), topic(p.policy, "live"))
		if !maps.Equal(got, want) {
			l.Errorf("with %s the server retains %v, want %v", p.policy, got, want)
		}
	}
}

func retainedComeAtSubscribing(l *line) {
	set := v1alpha1.RetainSet
	l.bridge.Spec.Subscriptions = []v1alpha1.Rule{
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
	// What comes live shows that no more was to come.
	end := l.topic("down/by/end")
	for came := 0; came < len(want); came++ {
		near.next()
	}
	far.publish(end, 1, false, []byte("end"))
	if m := near.next(); m.Topic() != end {
		l.Errorf("%s came, which is too much", m.Topic())
	}
	if got := l.retained(l.local.Source(), exact, wildcard); !maps.Equal(got, want) {
		l.Errorf("the local server retains %v, want %v", got, want)
	}
}

func retainedIsDeleted(l *line) {
	set := v1alpha1.RetainSet
	l.bridge.Spec.Forwards[0].Retain = &set
	l.bridge.Spec.Subscriptions[0].Retain = &set
	l.connect()
	for _, w := range l.both() {
		near, far := l.client(w.from), l.client(w.to)
		topic := l.topic(w.name + "/x")
		far.subscribe(topic)
		for _, payload := range []string{"x", ""} {
			near.publish(topic, 1, true, []byte(payload))
			if m := far.next(); string(m.Payload()) != payload {
				l.Fatalf("%s: %q came, want %q", w.name, m.Payload(), payload)
			}
			if got := l.retained(w.to, topic); got[topic] != payload {
				l.Errorf("%s: after %q the far server retains %v", w.name, payload, got)
			}
		}
	}
}

func willsGoOver(l *line) {
	l.connect()
	for _, w := range l.both() {
		far := l.client(w.to)
		far.subscribe(l.topic(w.name + "/#"))
		for qos := range byte(3) {
			l.die(w.from, l.topic(w.name+"/will"), qos, []byte{'0' + qos})
			if m := far.next(); string(m.Payload()) != string('0'+rune(qos)) || m.Qos() != l.qos(qos) {
				l.Errorf("%s: the will at QoS %d came as %q at QoS %d", w.name, qos, m.Payload(), m.Qos())
			}
		}
	}
}
