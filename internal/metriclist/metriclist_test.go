// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package metriclist

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestAll_Names_FollowTheConventionsOfPrometheus(t *testing.T) {
	name, label := regexp.MustCompile(`^mqttbridge_[a-z][a-z0-9_]*[a-z]$`), regexp.MustCompile(`^[a-z]+$`)
	seen := map[string]bool{}
	for _, m := range All() {
		if seen[m.Name] {
			t.Errorf("%s is twice in the list", m.Name)
		}
		seen[m.Name] = true
		if !name.MatchString(m.Name) {
			t.Errorf("%s is not a valid name", m.Name)
		}
		if isTotal := strings.HasSuffix(m.Name, "_total"); isTotal != (m.Type == Counter) {
			t.Errorf("%s is a %s; the names of counters, and no others, end with _total", m.Name, m.Type)
		}
		if !strings.HasSuffix(m.Help, ".") {
			t.Errorf("the help of %s is not a sentence: %q", m.Name, m.Help)
		}
		for _, l := range m.Labels {
			if !label.MatchString(l) {
				t.Errorf("%s has the label %q", m.Name, l)
			}
		}
	}
}

func TestOf_AllSets_MakeTheWholeList(t *testing.T) {
	got := make([]string, 0, len(All()))
	for _, set := range []Set{Bridge, Runner, Host, Member, Reconciled, Operator} {
		of := Of(set)
		if len(of) == 0 {
			t.Errorf("the set %s is empty", set)
		}
		for _, m := range of {
			got = append(got, m.Name)
		}
	}
	want := make([]string, 0, len(All()))
	for _, m := range All() {
		want = append(want, m.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the sets have\n%v\nwant\n%v", got, want)
	}
}

func TestGet_UnknownNameOrOtherType_Panics(t *testing.T) {
	for name, of := range map[string]Type{"mqttbridge_unknown": Gauge, "mqttbridge_connected": Counter} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Get(%q, %q) does not panic", name, of)
				}
			}()
			Get(name, of)
		}()
	}
}
