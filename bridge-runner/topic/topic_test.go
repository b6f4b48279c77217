// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"strings"
	"testing"
)

func mustFilter(t *testing.T, s string) Filter {
	t.Helper()
	f, err := ParseFilter(s)
	if err != nil {
		t.Fatalf("ParseFilter(%q): %v", s, err)
	}
	return f
}

func TestFilter_Match_FollowsSection47(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"#", "a", true},
		{"#", "/", true},
		{"#", "$SYS/broker", false},
		{"+/broker", "$SYS/broker", false},
		{"$SYS/#", "$SYS/broker", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"a/b", "a/b", true},
		{"a/b", "A/b", false},
		{"a/b", "a/b/", false},
		{"a/b/", "a/b", false},
		{"a//b", "a//b", true},
		{"a/+/b", "a//b", true},
	} {
		if got := mustFilter(t, c.filter).Match(c.topic); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.filter, c.topic, got, c.want)
		}
	}
}

func TestParseFilter_ForbiddenFilter_IsRejected(t *testing.T) {
	for _, s := range []string{"", "a#", "a/#/b", "a+/b", "+a", "##", "a/b#", "a\x00b", strings.Repeat("a", 65536)} {
		if _, err := ParseFilter(s); err == nil {
			t.Errorf("ParseFilter(%.20q) accepted", s)
		}
	}
}

func TestFilter_CoversAndOverlaps_ComparesFilters(t *testing.T) {
	for _, c := range []struct {
		a, b             string
		covers, overlaps bool
	}{
		{"#", "a/b", true, true},
		{"a/#", "a", true, true},
		{"a", "a/#", false, true},
		{"a/#", "a/+/b", true, true},
		{"a/+", "a/#", false, true},
		{"a/+", "a/b", true, true},
		{"a/b", "a/+", false, true},
		{"a/+/c", "a/b/+", false, true},
		{"a/+/c", "a/b/d", false, false},
		{"a/b", "a/b/c", false, false},
		{"#", "$SYS/x", false, false},
		{"+/x", "$SYS/x", false, false},
		{"a/b/#", "a", false, false},
		{"+", "#", false, true},
	} {
		a, b := mustFilter(t, c.a), mustFilter(t, c.b)
		if got := a.Covers(b); got != c.covers {
			t.Errorf("%q covers %q: %v", c.a, c.b, got)
		}
		if got := a.Overlaps(b); got != c.overlaps {
			t.Errorf("%q overlaps %q: %v", c.a, c.b, got)
		}
		if got := b.Overlaps(a); got != c.overlaps {
			t.Errorf("%q overlaps %q: %v", c.b, c.a, got)
		}
	}
}

func TestMap_TopicAndCaptures_AreFilledIn(t *testing.T) {
	for _, c := range []struct{ filter, template, topic, want string }{
		{"sensors/#", "${topic}", "sensors/a/b", "sensors/a/b"},
		{"sensors/#", "plant1/${topic}", "sensors/a", "plant1/sensors/a"},
		{"commands/plant1/+/set", "commands/${1}/set", "commands/plant1/valve/set", "commands/valve/set"},
		{"a/+/b/+/#", "${3}/${2}/${1}", "a/x/b/y/z/w", "z/w/y/x"},
		{"a/#", "b/${1}", "a/x/y", "b/x/y"},
		{"a/#", "b/${1}", "a", "b"},
		{"a/+", "b/${1}", "a/", "b/"},
		{"a/#", "b/${1}/c", "a", "b/c"},
		{"a/#", "b/${1}", "a/", "b/"},
		{"+/x", "$aws/${1}", "t/x", "$aws/t"},
		{"a", "b", "a", "b"},
	} {
		m, err := ParseMapping(mustFilter(t, c.filter), c.template)
		if err != nil {
			t.Errorf("ParseMapping(%q, %q): %v", c.filter, c.template, err)
			continue
		}
		if got, ok := m.Map(c.topic); !ok || got != c.want {
			t.Errorf("%q by %q from %q: %q, %v, want %q", c.topic, c.template, c.filter, got, ok, c.want)
		}
		if out := m.Output(); !out.Match(c.want) {
			t.Errorf("output filter %q of %q by %q does not match %q", out, c.filter, c.template, c.want)
		}
	}
}

func TestMap_ResultIsNoTopicName_IsRejected(t *testing.T) {
	m, err := ParseMapping(mustFilter(t, "a/#"), "${1}")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := m.Map("a"); ok {
		t.Errorf("an empty result was accepted: %q", got)
	}
	for _, s := range []string{"", "a/+", "a/#", "a\x00", "a/\xff"} {
		keep, err := ParseMapping(mustFilter(t, "#"), "${topic}")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := keep.Map(s); ok {
			t.Errorf("%q was accepted", s)
		}
	}
	if _, ok := m.Map("b/c"); ok {
		t.Error("a topic that the filter does not match was mapped")
	}
	m, err = ParseMapping(mustFilter(t, "#"), "${topic}${topic}")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Map(strings.Repeat("a", 40000)); ok {
		t.Error("a topic of 80000 bytes was accepted")
	}
}

func TestParseMapping_BadTemplate_IsRejected(t *testing.T) {
	for _, c := range []struct{ filter, template, want string }{
		{"a/+", "", "empty"},
		{"a/+", "b/#", "wildcards"},
		{"a/+", "b/${2}", "placeholder with a number"},
		{"a/+", "b/${0}", "placeholders"},
		{"a/+", "b/${name}", "placeholders"},
		{"a/+", "b/$", "placeholders"},
		{"a/+", "b/$$x", "placeholders"},
		{"a/+", "b/{x}", "placeholders"},
		{"a/+", "b/$1", "write ${1} instead of $1"},
		{"a/+", "$topic/b", "${topic} instead of $topic"},
	} {
		_, err := ParseMapping(mustFilter(t, c.filter), c.template)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseMapping(%q, %q): %v, want %q", c.filter, c.template, err, c.want)
		}
	}
}

func TestFilter_Match_DoesNotAllocate(t *testing.T) {
	f := mustFilter(t, "sensors/+/temperature/#")
	if n := testing.AllocsPerRun(100, func() { f.Match("sensors/a/temperature/b/c") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
