// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"reflect"
	"slices"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

func user(pairs ...string) *packet.Properties {
	p := &packet.Properties{}
	for pair := range slices.Chunk(pairs, 2) {
		p.User = p.User.With(packet.UserProperty{Name: pair[0], Value: pair[1]})
	}
	return p
}

const hop = v1alpha1.HopsProperty

func TestProperties_MessageIsForwarded_HopCountAndRulePropertiesAreAdded(t *testing.T) {
	added := []v1alpha1.UserProperty{{Name: "plant", Value: "one"}, {Name: "plant", Value: "two"}}
	for _, c := range []struct {
		name           string
		rule           manifest.Rule
		received, want *packet.Properties
	}{
		{"nothing to add", manifest.Rule{}, user("a", "1"), user("a", "1")},
		{"no properties and nothing to add", manifest.Rule{}, nil, nil},
		{"a count that this bridge does not keep", manifest.Rule{}, user(hop, "7"), user(hop, "7")},
		{"a message without properties", manifest.Rule{UserProperties: added}, nil, user("plant", "one", "plant", "two")},
		{"behind the received ones", manifest.Rule{UserProperties: added}, user("z", "1", "plant", "0"), user("z", "1", "plant", "0", "plant", "one", "plant", "two")},
		{"the first hop", manifest.Rule{MaxHops: 3}, user("a", "1"), user("a", "1", hop, "1")},
		{"a later hop", manifest.Rule{MaxHops: 3, UserProperties: added[:1]}, user(hop, "1", "a", "1"), user("a", "1", hop, "2", "plant", "one")},
		{"counts that are no numbers", manifest.Rule{MaxHops: 3}, user(hop, "-1", hop, "x", hop, ""), user(hop, "1")},
		{"the highest of several counts", manifest.Rule{MaxHops: 9}, user(hop, "4", hop, "0"), user(hop, "5")},
	} {
		var before packet.Properties
		if c.received != nil {
			before = *c.received
		}
		if got := properties(&c.rule, c.received); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if c.received != nil && *c.received != before {
			t.Errorf("%s: the original was changed", c.name)
		}
	}
	received := user("a", "1")
	received.ContentType, received.Expires, received.Expiry = "text/plain", true, 60
	if got := properties(&manifest.Rule{MaxHops: 1}, received); got.ContentType != "text/plain" || !got.Expires || got.Expiry != 60 {
		t.Errorf("other properties: %+v", got)
	}
}

func TestTooManyHops_CountReachesMaxHops_IsTrue(t *testing.T) {
	for _, c := range []struct {
		maxHops  uint64
		received *packet.Properties
		want     bool
	}{
		{0, user(hop, "1000"), false},
		{1, nil, false},
		{1, user(hop, "0"), false},
		{1, user(hop, "1"), true},
		{255, user(hop, "254"), false},
		{255, user(hop, "255"), true},
		{255, user(hop, "99999999999999999999999"), true},
		{255, user(hop, "many"), false},
	} {
		if got := tooManyHops(&manifest.Rule{MaxHops: c.maxHops}, c.received); got != c.want {
			t.Errorf("at most %d, received %+v: too many %t", c.maxHops, c.received, got)
		}
	}
}

func TestSubscriptions_RetainHandlingDiffers_LowestValueWins(t *testing.T) {
	rules, err := manifest.Rules([]v1alpha1.Rule{
		{Filter: "a/#", RetainHandling: of(v1alpha1.RetainHandlingDoNotSend)},
		{Filter: "a/b", RetainHandling: of(v1alpha1.RetainHandlingSend)},
		{Filter: "a/#"},
		{Filter: "c", RetainHandling: of(v1alpha1.RetainHandlingDoNotSend)},
	})
	if err != nil {
		t.Fatal(err)
	}
	handlings := func(identified bool) map[string]byte {
		out := map[string]byte{}
		subscriptions := Subscriptions(rules)
		if identified {
			subscriptions = IdentifiedSubscriptions(rules)
		}
		for _, s := range subscriptions {
			out[s.Filter] = s.RetainHandling
		}
		return out
	}
	if got, want := handlings(false), map[string]byte{"a/#": 0, "c": 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := handlings(true), map[string]byte{"a/#": 1, "a/b": 0, "c": 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("with subscription identifiers: %v, want %v", got, want)
	}
}

func of(h v1alpha1.RetainHandling) *v1alpha1.RetainHandling { return &h }
