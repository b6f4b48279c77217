// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestSubscriptions_CoveredFilter_IsOmitted(t *testing.T) {
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

// A server may refuse an exclusive subscription, which another client has, and grant the others. The right
// to an exclusive subscription is that to its own filter.
func TestSubscriptions_ExclusiveFilters_AreIndependentOfFiltersOfOtherTopics(t *testing.T) {
	compiled := rules(t,
		v1alpha1.Rule{Filter: "$exclusive/a/#", QoS: ptr.To[int32](0)},
		v1alpha1.Rule{Filter: "a/b", QoS: ptr.To[int32](2)},
		v1alpha1.Rule{Filter: "c/#", QoS: ptr.To[int32](0), RetainHandling: ptr.To(v1alpha1.RetainHandlingDoNotSend)},
		v1alpha1.Rule{Filter: "$exclusive/c/d", QoS: ptr.To[int32](1)},
		v1alpha1.Rule{Filter: "e", QoS: ptr.To[int32](2), Topic: "x/${topic}"},
		v1alpha1.Rule{Filter: "$exclusive/e", QoS: ptr.To[int32](0)},
	)
	want := []session.Subscription{
		{Filter: "$exclusive/a/#", QoS: 2, RetainHandling: 1},
		{Filter: "a/b", QoS: 2, RetainHandling: 1},
		{Filter: "c/#", QoS: 1, RetainHandling: 2},
		{Filter: "$exclusive/c/d", QoS: 1, RetainHandling: 1},
		{Filter: "$exclusive/e", QoS: 2, RetainHandling: 1}, // for EMQX, both filters are one subscription
	}
	if got := Subscriptions(compiled); !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}

func TestIdentifiedSubscriptions_FiltersOfTheSameTopics_AreOneExclusiveSubscription(t *testing.T) {
	plain, exclusive := v1alpha1.Rule{Filter: "e", QoS: ptr.To[int32](2), Topic: "x/${topic}"}, v1alpha1.Rule{Filter: "$exclusive/e", QoS: ptr.To[int32](0)}
	for _, all := range [][]v1alpha1.Rule{{plain, exclusive}, {exclusive, plain}} {
		compiled := rules(t, all...)
		got := IdentifiedSubscriptions(compiled)
		if len(got) != 1 || got[0].Filter != "$exclusive/e" || got[0].QoS != 2 || got[0].ID != identifiers(compiled)[0] || got[0].ID != identifiers(compiled)[1] {
			t.Errorf("%v for the identifiers %v", got, identifiers(compiled))
		}
	}
}

func TestSubscriptions_CrossingFilters_HaveTheHighestQoSOfEach(t *testing.T) {
	qos := func(filter string, qos int32) v1alpha1.Rule { return v1alpha1.Rule{Filter: filter, QoS: &qos} }
	for _, c := range []struct {
		name  string
		rules []v1alpha1.Rule
		want  map[string]byte
	}{
		{"two", []v1alpha1.Rule{qos("a/+", 0), qos("+/b", 1)}, map[string]byte{"a/+": 1, "+/b": 1}},
		{"through a filter that is covered", []v1alpha1.Rule{qos("a/+", 0), qos("+/#", 0), qos("a/b", 2)}, map[string]byte{"+/#": 2}},
		{"a filter that one of them covers", []v1alpha1.Rule{qos("a/+/+", 0), qos("+/b/#", 0), qos("+/b/c", 2)}, map[string]byte{"a/+/+": 2, "+/b/#": 2}},
		{"a chain: no message matches its ends", []v1alpha1.Rule{qos("a/+", 0), qos("+/b", 1), qos("c/+", 2)}, map[string]byte{"a/+": 1, "+/b": 2, "c/+": 2}},
		{"apart", []v1alpha1.Rule{qos("a/+", 0), qos("b/+", 1), qos("$SYS/+", 2)}, map[string]byte{"a/+": 0, "b/+": 1, "$SYS/+": 2}},
	} {
		got := map[string]byte{}
		for _, s := range Subscriptions(rules(t, c.rules...)) {
			got[s.Filter] = s.QoS
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// An MQTT 3.1.1 server may send a message at the QoS of any subscription that matches it,
// once, or once for each subscription.
func TestSubscriptions_RandomRules_BringEveryMessageAtTheQoSOfItsRules(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	levels := []string{"a", "b", "+", "#"}
	var topics []string
	for _, a := range []string{"a", "b", "c"} {
		topics = append(topics, a)
		for _, b := range []string{"a", "b", "c"} {
			topics = append(topics, a+"/"+b)
			for _, c := range []string{"a", "b", "c"} {
				topics = append(topics, a+"/"+b+"/"+c)
			}
		}
	}
	for range 5000 {
		var all []v1alpha1.Rule
		for len(all) < 2+r.IntN(5) {
			var filter []string
			for range 1 + r.IntN(3) {
				filter = append(filter, levels[r.IntN(len(levels))])
			}
			rule := v1alpha1.Rule{Filter: strings.Join(filter, "/"), QoS: ptr.To(r.Int32N(3))}
			if _, err := topic.ParseFilter(rule.Filter); err == nil {
				all = append(all, rule)
			}
		}
		compiled := rules(t, all...)
		subscriptions := Subscriptions(compiled)
		for _, name := range topics {
			wanted, lowest := -1, 3
			for i := range compiled {
				if compiled[i].Filter.Match(name) {
					wanted = max(wanted, int(compiled[i].QoS))
				}
			}
			for _, s := range subscriptions {
				if f, _ := topic.ParseFilter(s.Filter); f.Match(name) {
					lowest = min(lowest, int(s.QoS))
				}
			}
			if wanted >= 0 && (lowest < wanted || lowest == 3) {
				t.Fatalf("%v: %s may come at QoS %d, a rule wants %d: %v", all, name, lowest, wanted, subscriptions)
			}
		}
	}
}

func TestPipe_MessageThatNoRuleTakes_IsReportedWithItsTopic(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, v1alpha1.Rule{Filter: "$exclusive/a/#"}, v1alpha1.Rule{Filter: "up/#", Topic: "${1}"})
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 1, "rewritten/a", "x"), script.Publish(2, 1, "up/$SYS/x", "x"), script.Publish(3, 1, "up", "x"), script.Publish(4, 1, "a/b", "good"))
		w.destination.Want("PUBLISH 1 qos1 a/b=good")
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
		w.source.Want("PUBACK 1", "PUBACK 2", "PUBACK 3", "PUBACK 4")
		w.meter.want(t, "forwarded 1, dropped map[invalid_topic:2 no_rule:1], refused [], resent 0, redelivered 0, held 0, in flight 0")
		w.meter.mu.Lock()
		defer w.meter.mu.Unlock()
		if want := []string{`no_rule rewritten/a "$exclusive/a/#", "up/#"`, `invalid_topic up/$SYS/x "up/#"`, `invalid_topic up "up/#"`}; !slices.Equal(w.meter.unrouted, want) {
			t.Errorf("reported: %q, want %q", w.meter.unrouted, want)
		}
	})
}

func TestIdentifiedSubscriptions_EqualFilters_AreSubscribedOnce(t *testing.T) {
	got := IdentifiedSubscriptions(rules(t,
		v1alpha1.Rule{Filter: "a/b", QoS: ptr.To[int32](0)},
		v1alpha1.Rule{Filter: "a/#", QoS: ptr.To[int32](1)},
		v1alpha1.Rule{Filter: "a/b", Topic: "x", QoS: ptr.To[int32](2)},
	))
	if len(got) != 2 || got[0].Filter != "a/b" || got[0].QoS != 2 || got[1].Filter != "a/#" || got[1].QoS != 1 {
		t.Fatalf("subscriptions: %v", got)
	}
	for i, s := range got {
		if s.ID < 1 || s.ID > 268_435_455 || s.ID == got[1-i].ID { // MQTT 5 section 3.8.2.1.2
			t.Errorf("the identifiers are %d and %d", got[0].ID, got[1].ID)
		}
	}
}

// A server stores messages with the identifiers of the subscriptions that matched at that
// time. After a change of the manifest they arrive with these identifiers.
func TestIdentifiers_OtherRulesChange_StayTheSame(t *testing.T) {
	identifier := func(filters ...string) uint32 {
		var all []v1alpha1.Rule
		for _, f := range filters {
			all = append(all, v1alpha1.Rule{Filter: f})
		}
		subscriptions := IdentifiedSubscriptions(rules(t, all...))
		return subscriptions[slices.IndexFunc(subscriptions, func(s session.Subscription) bool { return s.Filter == "kept/#" })].ID
	}
	if before, after := identifier("gone/#", "kept/#"), identifier("new/+", "newer/+", "kept/#"); before != after {
		t.Errorf("%d became %d: the messages that the server holds match no rule, and are dropped", before, after)
	}
}

func TestRoute_ServerSendsOncePerSubscription_ForwardsOncePerRule(t *testing.T) {
	all := []v1alpha1.Rule{
		{Filter: "a/#", Topic: "one"},
		{Filter: "a/+", Topic: "two"},
		{Filter: "b", Topic: "three"},
	}
	routes := newRoutes(rules(t, all...))
	ids := routes.ids
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
	}{ // [MQTT-3.3.4-2] to [MQTT-3.3.4-5] of MQTT 5
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
	// One PUBLISH with both identifiers, which the codec of paho.golang cannot write.
	both := &session.Inbound{Publish: packet.Publish{Topic: "a/x", Subscriptions: ids[:2]}}
	for i, want := range []bool{true, true, false} {
		if routes.sentFor(both, i) != want {
			t.Errorf("rule %d matches: %v", i, !want)
		}
	}
}

func TestRetain_EachPolicy_KeepsClearsOrSetsTheFlag(t *testing.T) {
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

func TestQueue_GrowsAndEmpties_KeepsOrderAndReleasesMemory(t *testing.T) {
	var q queue
	next, sent := 0, 0
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	push := func(n int) {
		for range n {
			m := &outgoing{}
			m.ReceivedAt = at(sent)
			q.push(m)
			sent++
		}
	}
	pop := func(n int) {
		t.Helper()
		for range n {
			if got := q.pop().ReceivedAt; got != at(next) {
				t.Fatalf("popped %v, want %v", got, at(next))
			}
			next++
		}
	}
	push(10)
	pop(7)
	push(30) // the ring buffer grows while its front is not at 0
	for i := range q.len() {
		if got := q.at(i).ReceivedAt; got != at(next+i) {
			t.Fatalf("at %d: %v, want %v", i, got, at(next+i))
		}
	}
	pop(20)
	push(5000)
	pop(q.len())
	if len(q.items) > maxIdleItems {
		t.Errorf("an empty queue holds room for %d", len(q.items))
	}
	push(3)
	pop(3)
}
