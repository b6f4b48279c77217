// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"slices"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestAFilterInsideOfAnotherIsNotSubscribedToTwice(t *testing.T) {
	got := Subscriptions(rules(t,
		v1alpha1.Rule{Filter: "a/b", QoS: ptr.To[int32](2)},
		v1alpha1.Rule{Filter: "a/#", QoS: ptr.To[int32](0)},
		v1alpha1.Rule{Filter: "c/+"},
		v1alpha1.Rule{Filter: "c/+", QoS: ptr.To[int32](2)},
		v1alpha1.Rule{Filter: "a/+/x", QoS: ptr.To[int32](1)},
	))
	want := []session.Subscription{{Filter: "a/#", QoS: 2, RetainHandling: 1}, {Filter: "c/+", QoS: 2, RetainHandling: 1}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestIdentifiedFiltersAreAllSubscribedToAndEqualOnesOnce(t *testing.T) {
	got := IdentifiedSubscriptions(rules(t,
		v1alpha1.Rule{Filter: "a/b", QoS: ptr.To[int32](0)},
		v1alpha1.Rule{Filter: "a/#", QoS: ptr.To[int32](1)},
		v1alpha1.Rule{Filter: "a/b", Topic: "x", QoS: ptr.To[int32](2)},
	))
	if len(got) != 2 || got[0].Filter != "a/b" || got[0].QoS != 2 || got[1].Filter != "a/#" || got[1].QoS != 1 {
		t.Fatalf("subscriptions: %v", got)
	}
	for i, s := range got {
		if s.ID < 1 || s.ID > 268_435_455 || s.ID == got[1-i].ID { // section 3.8.2.1.2 of MQTT 5
			t.Errorf("the identifiers are %d and %d", got[0].ID, got[1].ID)
		}
	}
}

// A server stores messages with the identifiers of the subscriptions that they matched
// then. After a change of the manifest they come with those.
func TestAFilterKeepsItsIdentifierWhateverOtherRulesThereAre(t *testing.T) {
	identifier := func(filters ...string) uint32 {
		var all []v1alpha1.Rule
		for _, f := range filters {
			all = append(all, v1alpha1.Rule{Filter: f})
		}
		subscriptions := IdentifiedSubscriptions(rules(t, all...))
		return subscriptions[slices.IndexFunc(subscriptions, func(s session.Subscription) bool { return s.Filter == "kept/#" })].ID
	}
	if before, after := identifier("gone/#", "kept/#"), identifier("new/+", "newer/+", "kept/#"); before != after {
		t.Errorf("%d became %d: what the server holds matches no rule any more, and is dropped", before, after)
	}
}

func TestAMessageGoesOverOncePerRuleHoweverOftenTheServerSendsIt(t *testing.T) {
	all := []v1alpha1.Rule{
		{Filter: "a/#", Topic: "one"},
		{Filter: "a/+", Topic: "two"},
		{Filter: "b", Topic: "three"},
	}
	ids := identifiers(rules(t, all...))
	from := func(id uint16, subscriptions ...uint32) script.Packet {
		p := script.Publish(id, 1, "a/x", "x")
		if len(subscriptions) > 0 {
			p.Properties = &v5.Properties{SubscriptionIdentifier: new(int(subscriptions[0]))}
		}
		return p
	}
	for _, c := range []struct {
		name string
		sent []script.Packet
		want []string
	}{ // [MQTT-3.3.4-2] to [MQTT-3.3.4-5] of 5
		{"once for each subscription", []script.Packet{from(1, ids[0]), from(2, ids[1])}, []string{"PUBLISH 1 qos1 one=x", "PUBLISH 2 qos1 two=x"}},
		{"the server does not say", []script.Packet{from(1)}, []string{"PUBLISH 1 qos1 one=x", "PUBLISH 2 qos1 two=x"}},
		{"for a filter that does not match", []script.Packet{from(1, ids[2])}, nil},
		{"for one of an earlier manifest", []script.Packet{from(1, 12345)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, packet.V5, all...)
			w.source.connect(false, nil)
			w.destination.up(false)
			w.source.Send(c.sent...)
			w.destination.Want(c.want...)
			for i := range c.want {
				w.destination.Send(script.Ack(v5.PUBACK, uint16(i+1), 0))
			}
			for i := range c.sent {
				w.source.Want(script.Ack(v5.PUBACK, uint16(i+1), 0).String())
			}
			w.destination.sync()
		})
	}
	// One PUBLISH with both identifiers, which the codec of paho.golang does not write.
	both := &session.Inbound{Publish: packet.Publish{Topic: "a/x", Subscriptions: ids[:2]}}
	for i, want := range []bool{true, true, false} {
		if asked(both, ids[i]) != want {
			t.Errorf("rule %d is asked: %v", i, !want)
		}
	}
}

func TestRetainFlagsAreKeptClearedOrSet(t *testing.T) {
	for _, c := range []struct {
		policy         v1alpha1.RetainPolicy
		received, want bool
	}{
		{v1alpha1.RetainKeep, true, true}, {v1alpha1.RetainKeep, false, false}, {v1alpha1.RetainClear, true, false}, {v1alpha1.RetainSet, false, true},
	} {
		if got := retain(c.policy, c.received); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestQueueKeepsOrderAndGivesMemoryBack(t *testing.T) {
	var q queue
	next, sent := 0, 0
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	push := func(n int) {
		for range n {
			m := &outgoing{}
			m.At = at(sent)
			q.push(m)
			sent++
		}
	}
	pop := func(n int) {
		t.Helper()
		for range n {
			if got := q.pop().At; got != at(next) {
				t.Fatalf("popped %v, want %v", got, at(next))
			}
			next++
		}
	}
	push(10)
	pop(7)
	push(30) // grows while its front is not at 0
	for i := range q.len() {
		if got := q.at(i).At; got != at(next+i) {
			t.Fatalf("at %d: %v, want %v", i, got, at(next+i))
		}
	}
	pop(20)
	push(5000)
	pop(q.len())
	if len(q.items) > keepItems {
		t.Errorf("an empty queue holds room for %d", len(q.items))
	}
	push(3)
	pop(3)
}
