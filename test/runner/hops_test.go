// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// Two bridges form a ring: the second bridge forwards the messages of the first one back.
func TestMaxHops_RingOfBridges_DropsMessage(t *testing.T) {
	t.Parallel()
	const maxHops = 5
	p := newPair(t)
	p.here.Subscribe("#")
	ring := func(name string, from, to *mqtttest.Broker) *mqtttest.Runner {
		b := speaking(manifest(name, from.URL(), to.URL()), v5, v5)
		b.Spec.Delivery = &v1alpha1.Delivery{MaxHops: ptr.To[int32](maxHops)}
		r := mqtttest.StartRunner(t, b)
		r.WaitActive("primary", eventTimeout)
		return r
	}
	out, back := ring("out", p.local, p.remote), ring("back", p.remote, p.local)
	for _, c := range []struct {
		topic, sent string
		here, there []string
		by          *mqtttest.Runner
	}{
		{"up/new", "", []string{"", "2", "4"}, []string{"1", "3", "5"}, back},
		{"up/old", "3", []string{"3", "5"}, []string{"4"}, out},
	} {
		before := dropped(c.by, "too_many_hops")
		sent := &paho.Publish{Topic: c.topic, QoS: 2, Properties: &paho.PublishProperties{User: paho.UserProperties{{Key: "a", Value: "1"}}}}
		if c.sent != "" {
			sent.Properties.User.Add(v1alpha1.HopsProperty, c.sent)
		}
		p.here.Publish(sent)
		mqtttest.Eventually(t, eventTimeout, "the message is dropped", func() error {
			if n := dropped(c.by, "too_many_hops"); n != before+1 {
				return fmt.Errorf("%v messages were dropped as too_many_hops, want 1", n-before)
			}
			return nil
		})
		if got := counts(p.here.Wait(c.topic, len(c.here), eventTimeout)); !slices.Equal(got, c.here) {
			t.Errorf("%s: the hop counts at the local broker are %q, want %q", c.topic, got, c.here)
		}
		if got := counts(p.there.Wait(c.topic, len(c.there), eventTimeout)); !slices.Equal(got, c.there) {
			t.Errorf("%s: the hop counts at the remote broker are %q, want %q", c.topic, got, c.there)
		}
	}
	for _, r := range []*mqtttest.Runner{out, back} {
		if n := held(r); n != 0 {
			t.Errorf("%v messages are not acknowledged to their source", n)
		}
	}
}

// counts returns the hop counts of messages. A message has at most one.
func counts(messages []*paho.Publish) []string {
	var out []string
	for _, m := range messages {
		all := m.Properties.User.GetAll(v1alpha1.HopsProperty)
		if len(all) == 0 {
			all = []string{""}
		}
		out = append(out, all...)
	}
	return out
}
