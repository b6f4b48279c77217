// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// routeStep is an event of a test of routes.
type routeStep struct {
	// rules are the filters of the new rules. Each rule publishes under its index and the topic.
	rules []string
	// reconnect says that the source connects again.
	reconnect bool
	// topic, qos and filter describe a message: filter is the filter of the subscription for
	// which the server sends it.
	topic, filter string
	qos           byte
	// want are the topics under which the message is forwarded.
	want []string
}

func rulesFor(filters []string) (all []v1alpha1.Rule) {
	for i, f := range filters {
		all = append(all, v1alpha1.Rule{Filter: f, Topic: fmt.Sprintf("%d/${topic}", i), QoS: ptr.To[int32](1)})
	}
	return all
}

func TestRoutes_RulesChange_MessagesForEarlierSubscriptionsAreForwardedOnce(t *testing.T) {
	old, kept := []string{"a/b"}, []string{"a/+", "a/b"}
	for _, c := range []struct {
		name  string
		rules []string
		steps []routeStep
	}{
		{"the server does not have the new subscription yet", old, []routeStep{
			{rules: []string{"a/#"}},
			{topic: "a/b", filter: "a/b", qos: 1, want: []string{"0/a/b"}},
			{topic: "a/b", filter: "a/b", qos: 1, want: []string{"0/a/b"}},
			{topic: "a/b", filter: "a/#", qos: 1, want: []string{"0/a/b"}},
		}},
		{"the server sends once for each subscription", old, []routeStep{
			{rules: []string{"a/#"}},
			{topic: "a/c", filter: "a/#", qos: 1, want: []string{"0/a/c"}},
			{topic: "a/b", filter: "a/b", qos: 1},
			{topic: "a/b", filter: "a/#", qos: 1, want: []string{"0/a/b"}},
		}},
		{"a message of another QoS may overtake", old, []routeStep{
			{rules: []string{"a/#"}},
			{topic: "a/c", filter: "a/#", qos: 1, want: []string{"0/a/c"}},
			{topic: "a/b", filter: "a/b", qos: 2, want: []string{"0/a/b"}},
			{topic: "a/c", filter: "a/#", qos: 2, want: []string{"0/a/c"}},
			{topic: "a/b", filter: "a/b", qos: 2},
		}},
		{"a rule that stays has a copy of its own", kept, []routeStep{
			{rules: []string{"a/+", "a/#"}},
			{topic: "a/b", filter: "a/+", qos: 1, want: []string{"0/a/b"}},
			{topic: "a/b", filter: "a/b", qos: 1, want: []string{"1/a/b"}},
		}},
		{"a rule is added, and none is removed", old, []routeStep{
			{rules: []string{"a/b", "a/#"}},
			{topic: "a/b", filter: "a/b", qos: 1, want: []string{"0/a/b"}},
			{topic: "a/b", filter: "a/#", qos: 1, want: []string{"1/a/b"}},
		}},
		{"the rules change twice", old, []routeStep{
			{rules: []string{"a/#"}},
			{rules: []string{"a/+", "c"}},
			{topic: "a/b", filter: "a/b", qos: 1, want: []string{"0/a/b"}},
			{topic: "a/b", filter: "a/#", qos: 1, want: []string{"0/a/b"}},
			{topic: "a/c", filter: "a/+", qos: 1, want: []string{"0/a/c"}},
			{topic: "a/b", filter: "a/b", qos: 1},
			{topic: "a/b", filter: "a/#", qos: 1},
		}},
		{"the rules change again before the server has the new subscription", old, []routeStep{
			{rules: []string{"a/#"}},
			{rules: []string{"c", "a/#"}},
			{topic: "a/b", filter: "a/b", qos: 1, want: []string{"1/a/b"}},
		}},
		{"another server does not have the new subscription yet", old, []routeStep{
			{rules: []string{"a/#"}},
			{topic: "a/c", filter: "a/#", qos: 1, want: []string{"0/a/c"}},
			{reconnect: true},
			{topic: "a/b", filter: "a/b", qos: 1, want: []string{"0/a/b"}},
		}},
		{"only the order changes", kept, []routeStep{
			{rules: []string{"a/b", "a/+"}},
			{topic: "a/b", filter: "a/b", qos: 1, want: []string{"0/a/b"}},
			{topic: "a/b", filter: "a/+", qos: 1, want: []string{"1/a/b"}},
		}},
		{"the new filter does not match", old, []routeStep{
			{rules: []string{"c/#"}},
			{topic: "a/b", filter: "a/b", qos: 1},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, packet.V5, rulesFor(c.rules)...)
			w.source.connect(false, nil)
			w.destination.up(false)
			for i, step := range c.steps {
				w.play(uint16(i+1), step)
			}
			w.destination.sync() // nothing else is sent
		})
	}
}

// play plays a step. id is the packet identifier of its message.
func (w *world) play(id uint16, step routeStep) {
	w.t.Helper()
	switch {
	case step.rules != nil:
		w.update(Options{}, rulesFor(step.rules)...)
		return
	case step.reconnect:
		w.source.cut()
		w.source.connect(true, nil)
		return
	}
	p := w.sentFor(step.filter, script.Publish(id, step.qos, step.topic, fmt.Sprint(id)))
	w.source.Send(p)
	for _, want := range step.want {
		got := w.destination.Next()
		if got.Topic != want || got.Payload != p.Payload {
			w.t.Fatalf("message %d to %s for %s is forwarded as %s, want %s", id, step.topic, step.filter, got, want)
		}
		w.destination.Send(script.Ack(v5.PUBACK, got.ID, 0))
	}
	w.source.Want(fmt.Sprintf("%s %d", map[byte]string{1: "PUBACK", 2: "PUBREC"}[step.qos], id))
}

// sentFor returns p with the subscription identifier of a filter.
func (w *world) sentFor(filter string, p script.Packet) script.Packet {
	w.t.Helper()
	subscription := identifiers(rules(w.t, v1alpha1.Rule{Filter: filter}))[0]
	p.Properties = &v5.Properties{SubscriptionIdentifier: new(int(subscription))}
	return p
}

func TestRoutes_CopyForTheEarlierFilterArrivesFirst_SecondCopyIsRecognizedInOneRead(t *testing.T) {
	type message struct{ filter, payload string }
	for _, c := range []struct {
		name  string
		reads [][]message
		want  []string
	}{
		{"each message twice in one read", [][]message{{{"a/b", "x"}, {"a/#", "x"}, {"a/b", "y"}, {"a/#", "y"}}}, []string{"x", "y"}},
		{"behind a message from before the change", [][]message{{{"a/b", "x"}, {"a/b", "x"}, {"a/#", "x"}}}, []string{"x", "x"}},
		{"another message", [][]message{{{"a/b", "x"}, {"a/#", "y"}, {"a/#", "x"}}}, []string{"x", "y", "x"}},
		{"the same content later", [][]message{{{"a/b", "x"}}, {{"a/#", "x"}}}, []string{"x", "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, packet.V5, rulesFor([]string{"a/b"})...)
			w.source.connect(false, nil)
			w.destination.up(false)
			w.update(Options{}, rulesFor([]string{"a/#"})...)
			for _, read := range c.reads {
				var packets []script.Packet
				for _, m := range read {
					packets = append(packets, w.sentFor(m.filter, script.Publish(0, 0, "a/b", m.payload)))
				}
				w.source.Send(packets...)
				w.source.sync()
			}
			for _, want := range c.want {
				w.destination.Want("PUBLISH qos0 0/a/b=" + want)
			}
			w.destination.sync() // nothing else is sent
		})
	}
}
