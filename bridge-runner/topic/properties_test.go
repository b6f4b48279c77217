// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// topicsOf returns all topics of 1 to depth levels from the given levels. If levels begins
// with an empty string, the first topic is empty. No message has that topic, but filters
// match it.
func topicsOf(levels []string, depth int) []string {
	var out []string
	last := []string{""}
	for i := range depth {
		var longer []string
		for _, start := range last {
			for _, level := range levels {
				next := level
				if i > 0 {
					next = start + "/" + level
				}
				longer = append(longer, next)
			}
		}
		out, last = append(out, longer...), longer
	}
	return out
}

// filtersOf returns all filters of up to depth levels.
func filtersOf(t *testing.T, levels []string, depth int) []Filter {
	t.Helper()
	var out []Filter
	for _, s := range topicsOf(append([]string{"", "+", "#"}, levels...), depth)[1:] {
		if f, err := ParseFilter(s); err == nil {
			out = append(out, f)
		}
	}
	return out
}

func TestFilter_CoversAndOverlaps_AgreeWithMatch(t *testing.T) {
	filters := filtersOf(t, []string{"a", "$s"}, 3)
	topics := topicsOf([]string{"", "a", "$s", "other"}, 4)
	matches := make([][]bool, len(filters))
	for i, f := range filters {
		for _, name := range topics {
			matches[i] = append(matches[i], f.Match(name))
		}
	}
	for i, f := range filters {
		for j, g := range filters {
			covers, overlaps := true, false
			for k := range topics {
				covers = covers && (matches[i][k] || !matches[j][k])
				overlaps = overlaps || matches[i][k] && matches[j][k]
			}
			if got := f.Covers(g); got != covers {
				t.Errorf("%q covers %q: %v, compared over all topics: %v", f, g, got, covers)
			}
			if got := f.Overlaps(g); got != overlaps {
				t.Errorf("%q overlaps %q: %v, compared over all topics: %v", f, g, got, overlaps)
			}
		}
	}
	t.Logf("%d filters, %d topics", len(filters), len(topics))
}

// checkMapping checks the promises of a mapping for one topic.
func checkMapping(t *testing.T, m Mapping, template, name string) {
	t.Helper()
	got, ok := m.Map(name)
	switch {
	case !ok:
		return
	case !m.filter.Match(name):
		t.Errorf("%q by %q from %q: mapped although the filter does not match", name, template, m.filter)
	case got == "" || len(got) > maxLength || strings.ContainsAny(got, "+#\x00") || !utf8.ValidString(got):
		t.Errorf("%q by %q from %q: %.40q is not a topic name", name, template, m.filter, got)
	case got[0] == '$' && template[0] != '$':
		t.Errorf("%q by %q from %q: %q starts with $, but the template does not", name, template, m.filter, got)
	case strings.HasPrefix(got, "$") && strings.HasPrefix(template, "${") && (!strings.HasPrefix(template, "${topic}") || !strings.HasPrefix(name, "$")):
		t.Errorf("%q by %q from %q: %q starts with a $ that neither the template nor the filter has", name, template, m.filter, got)
	case !m.Output().Match(got):
		t.Errorf("%q by %q from %q: the output filter %q does not match %q", name, template, m.filter, m.Output(), got)
	}
}

func TestMapping_RandomTemplates_StaysWithinOutputWithoutSystemTopics(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	filters := filtersOf(t, []string{"a", "$s"}, 3)
	topics := topicsOf([]string{"", "a", "$s", "b"}, 4)
	parts := []string{"${topic}", "${1}", "${2}", "${1}", "/", "x", "$x", "$s/", "/${1}", "/$y"}
	mapped := 0
	for range 20_000 {
		var b strings.Builder
		for range 1 + r.IntN(4) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		m, err := ParseMapping(filters[r.IntN(len(filters))], b.String())
		if err != nil {
			continue
		}
		for range 40 {
			checkMapping(t, m, b.String(), topics[r.IntN(len(topics))])
		}
		mapped++
	}
	if mapped < 1000 {
		t.Errorf("only %d templates were valid", mapped)
	}
}

func TestMapping_SystemTopicFromMessage_IsRejected(t *testing.T) {
	for _, c := range []struct {
		filter, template, topic string
		want                    string // empty: Map returns false
	}{
		{"up/#", "${1}", "up/$SYS/x", ""},
		{"up/#", "${1}", "up/x/$SYS", "x/$SYS"},
		{"+/+/#", "${2}/${3}", "up/$aws/things/x", ""},
		{"up/#", "${1}$aws/x", "up", ""},
		{"up/#", "/${1}", "up/$SYS/x", "/$SYS/x"},
		{"up/#", "${1}/x", "up", "/x"},
		{"up/#", "cloud/${1}", "up/$SYS/x", "cloud/$SYS/x"},
		{"up/#", "$aws/things/${1}", "up/x", "$aws/things/x"},
		{"$SYS/#", "${topic}", "$SYS/x", "$SYS/x"},
		{"$aws/things/+/shadow/#", "${topic}", "$aws/things/a/shadow/get", "$aws/things/a/shadow/get"},
		{"$SYS/#", "${topic}/copy", "$SYS/x", "$SYS/x/copy"},
		{"$SYS/#", "${1}", "$SYS/$SYS/x", ""},
		{"$SYS/+/#", "${1}/${topic}", "$SYS/$a/x", ""},
		{"$SYS/+/#", "s/${1}", "$SYS/$a/x", "s/$a"},
	} {
		m, err := ParseMapping(mustFilter(t, c.filter), c.template)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := m.Map(c.topic)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%q by %q from %q: %q, %v, want %q", c.topic, c.template, c.filter, got, ok, c.want)
		}
	}
}

func TestFilter_Exclusive_MatchesTopicsWithoutPrefix(t *testing.T) {
	f := mustFilter(t, "$exclusive/a/+/#")
	if f.String() != "$exclusive/a/+/#" || f.Wildcards() != 2 {
		t.Errorf("%q with %d wildcards", f, f.Wildcards())
	}
	for name, want := range map[string]bool{"a/b": true, "a/b/c": true, "a": false, "$exclusive/a/b": false} {
		if f.Match(name) != want {
			t.Errorf("it matches %q: %v", name, !want)
		}
	}
	m, err := ParseMapping(f, "${topic}/${1}")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := m.Map("a/b/c"); !ok || got != "a/b/c/b" || !m.Output().Match(got) {
		t.Errorf("mapped to %q, %v", got, ok)
	}
	if all := mustFilter(t, "$exclusive/#"); all.Match("$SYS/x") || !all.Match("x") || !all.Match("a/b") || !all.Overlaps(f) {
		t.Error("$exclusive/# does not match the same topics as #")
	}
	if _, err := ParseFilter("$exclusive/"); err == nil {
		t.Error("$exclusive/ without a filter was accepted")
	}
}
