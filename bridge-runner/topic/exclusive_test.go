// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package topic

import "testing"

// A server decides about each exclusive subscription on its own, so that another subscription does not
// replace it, and it replaces none that the server may grant alone.
func TestFilter_ExclusiveFilters_CoverOnlyTheSameTopics(t *testing.T) {
	for _, c := range []struct {
		f, g             string
		covers, overlaps bool
	}{
		{"$exclusive/a/#", "a/b", false, true},
		{"a/#", "$exclusive/a/b", false, true},
		{"$exclusive/a/#", "$exclusive/a/b", false, true},
		{"$exclusive/a/#", "a/#", true, true},
		{"a/#", "$exclusive/a/#", false, true},
		{"$exclusive/a/#", "$exclusive/a/#", true, true},
		{"$exclusive/a", "b", false, false},
		{"a/#", "a/b", true, true},
	} {
		f, err := ParseFilter(c.f)
		if err != nil {
			t.Fatal(err)
		}
		g, err := ParseFilter(c.g)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Covers(g); got != c.covers {
			t.Errorf("%s covers %s: %v", f, g, got)
		}
		if got := f.Overlaps(g); got != c.overlaps {
			t.Errorf("%s overlaps %s: %v", f, g, got)
		}
	}
}
