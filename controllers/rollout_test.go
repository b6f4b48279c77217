// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestSlots_Fleet_LimitsTheBridgesThatRecover(t *testing.T) {
	members := func(n int, m member) []member { return slices.Repeat([]member{m}, n) }
	var (
		old        = member{revision: "v1", available: true}
		updated    = member{revision: "v2", available: true}
		starting   = member{revision: "v2", recovering: true}
		unhealthy  = member{revision: "v2", recovering: true, available: true} // the pod is ready, a side has no server
		broken     = member{revision: "bad", recovering: true}
		unfinished = member{revision: "v2"} // of a new bridge
	)
	for name, tt := range map[string]struct {
		fleet []member
		most  string
		want  int
	}{
		"the first bridge":                           {members(20, old), "10%", 1},
		"the first bridge does not recover":          {append(members(19, old), starting), "10%", 0},
		"the first bridge works":                     {append(members(19, old), updated), "10%", 2},
		"the limit is reached":                       {slices.Concat(members(15, old), members(3, updated), members(2, starting)), "10%", 0},
		"one of two works again":                     {slices.Concat(members(15, old), members(4, updated), members(1, starting)), "10%", 1},
		"a bridge forwards nothing":                  {slices.Concat(members(15, old), members(3, updated), members(2, unhealthy)), "10%", 0},
		"few bridges work with a large limit":        {slices.Concat(members(18, old), members(2, updated)), "100%", 3},
		"a corrected revision waits for the broken":  {slices.Concat(members(19, old), members(1, broken)), "10%", 0},
		"a corrected revision after the broken":      {slices.Concat(members(18, old), members(2, updated)), "10%", 2},
		"a corrected revision with fewer slots":      {slices.Concat(members(10, old), members(5, broken)), "2", 0},
		"a new bridge that does not work proves not": {slices.Concat(members(19, old), members(1, unfinished)), "10%", 1},
		"a small fleet":                              {members(3, old), "10%", 1},
		"a number":                                   {slices.Concat(members(10, old), members(10, updated)), "5", 5},
		"no number":                                  {members(3, old), "0", 1},
		"no bridge":                                  {nil, "10%", 1},
	} {
		if got := tallyOf(tt.fleet).slots("v2", intstr.Parse(tt.most)); got != tt.want {
			t.Errorf("%s: %d slots; want %d", name, got, tt.want)
		}
	}
}

func tallyOf(fleet []member) *tally {
	t := &tally{}
	for _, m := range fleet {
		t.add(m, 1)
	}
	return t
}

func TestUnproven_Fleet_IsTrueUntilABridgeWorks(t *testing.T) {
	old, starting := member{revision: "v1", available: true}, member{revision: "v2", recovering: true}
	for name, tt := range map[string]struct {
		fleet []member
		want  bool
	}{
		"not started":          {[]member{old}, false},
		"one recovers":         {[]member{old, starting}, true},
		"one works":            {[]member{old, starting, {revision: "v2", available: true}}, false},
		"another one recovers": {[]member{old, {revision: "v0", recovering: true}}, false},
	} {
		if got := tallyOf(tt.fleet).unproven("v2"); got != tt.want {
			t.Errorf("%s: %t; want %t", name, got, tt.want)
		}
	}
}

func TestParseMaxUnavailable_Values_AreNumbersOrPercentages(t *testing.T) {
	for value, valid := range map[string]bool{
		"1": true, "25": true, "10%": true, "100%": true,
		"": false, "0": false, "-1": false, "0%": false, "101%": false, "some": false, "10 %": false,
	} {
		if _, err := ParseMaxUnavailable(value); (err == nil) != valid {
			t.Errorf("%q: %v; want valid: %t", value, err, valid)
		}
	}
}

func TestCauseOf_ChangedSpecAndTemplate_DistinguishesUserAndOperator(t *testing.T) {
	annotations := func(spec, template string) map[string]string {
		return map[string]string{annotationPodSpecHash: spec, annotationTemplateHash: template}
	}
	for name, tt := range map[string]struct {
		live map[string]string
		want cause
	}{
		"nothing":                     {annotations("s", "t"), causeNone},
		"the operator":                {annotations("s", "old"), causeOperator},
		"the user":                    {annotations("old", "old"), causeUser},
		"a setting that is elsewhere": {annotations("old", "t"), causeNone},
		"an operator without hashes":  {nil, causeOperator},
		"an earlier operator":         {map[string]string{"mqttbridge.io/spec-hash": "old", annotationTemplateHash: "old"}, causeOperator},
	} {
		if got := causeOf(tt.live, annotations("s", "t")); got != tt.want {
			t.Errorf("%s: cause %d; want %d", name, got, tt.want)
		}
	}
}

func TestHealth_UnknownValue_CountsAsReady(t *testing.T) {
	for _, tt := range []struct {
		now, before health
		want        bool
	}{
		{healthReady, healthReady, true},
		{healthAvailable, healthReady, false},
		{healthAvailable, healthAvailable, true},
		{healthUnavailable, healthAvailable, false},
		{healthUnavailable, healthUnavailable, true},
		{healthAlone, healthReady, false},
		{healthAlone, healthAlone, true},
		{healthAlone, healthAvailable, true},
		{healthAvailable, healthAlone, false},
		{healthAvailable, "Splendid", false},
		{healthAlone, "Splendid", false},
		{healthReady, "Splendid", true},
	} {
		if got := tt.now.atLeast(tt.before); got != tt.want {
			t.Errorf("%s is as good as %s: %t; want %t", tt.now, tt.before, got, tt.want)
		}
	}
}
