// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"testing"
	"time"
)

// failures counts the errors that the judge reports.
type failures struct {
	testing.TB
	n int
}

func (f *failures) Errorf(format string, args ...any) {
	f.n++
	f.Logf(format, args...)
}

// A large gap of the machine permits no gap of the bridge.
func TestJudge_OwnGapAboveLimit_Fails(t *testing.T) {
	limit := tolerated(inPlace)
	for name, c := range map[string]struct {
		result
		fails bool
	}{
		"gap of the machine":            {result: result{gap: time.Minute, control: time.Minute}},
		"own gap at the limit":          {result: result{gap: limit, own: limit}},
		"own gap":                       {result: result{gap: limit + 1, own: limit + 1}, fails: true},
		"own gap besides the machine's": {result: result{gap: time.Minute, own: limit + 1, control: time.Minute}, fails: true},
		"lost":                          {result: result{lost: counts{up: 1}}, fails: true},
		"twice":                         {result: result{repeated: counts{down: 1}}, fails: true},
	} {
		f := &failures{TB: t}
		c.event = &event{name: name, limit: inPlace}
		(&world{TB: f}).check(&c.result)
		if (f.n > 0) != c.fails {
			t.Errorf("%s: the judge reports %d failures", name, f.n)
		}
	}
}

func TestMedians_OwnGapsAboveLimit_Fail(t *testing.T) {
	e := &event{name: "x", median: handOverMedian}
	limit := tolerated(e.median)
	for name, c := range map[string]struct {
		own  []time.Duration
		want int
	}{
		"one of three is longer":  {[]time.Duration{limit, limit + 1, 0}, 0},
		"two of three are longer": {[]time.Duration{limit + 1, limit + 2, 0}, 1},
	} {
		f, all := &failures{TB: t}, table{}
		for _, own := range c.own {
			all.results = append(all.results, result{event: e, gap: time.Minute, own: own, control: time.Minute})
		}
		all.checkAll(f)
		if f.n != c.want {
			t.Errorf("%s: the judge reports %d failures, want %d", name, f.n, c.want)
		}
	}
}

func TestBaselines_OwnGapAboveTheBaselineAndTheLimit_Fails(t *testing.T) {
	nothing := &event{name: "nothing"}
	e := &event{name: "x", median: inPlace, limit: inPlaceOnNode, baseline: nothing}
	usual, worst := time.Second+tolerated(inPlace), 2*time.Second+tolerated(inPlaceOnNode)
	for _, c := range []struct {
		own  [3]time.Duration
		want int
	}{
		{[3]time.Duration{0, usual, worst}, 0},
		{[3]time.Duration{0, usual, worst + 1}, 1},
		{[3]time.Duration{0, usual + 1, worst}, 1},
		{[3]time.Duration{worst + 1, worst + 1, worst + 1}, 2},
	} {
		f, all := &failures{TB: t}, table{}
		for i, without := range []time.Duration{0, time.Second, 2 * time.Second} {
			for _, r := range []result{{event: nothing, own: without}, {event: e, own: c.own[i]}} {
				(&world{TB: f}).check(&r)
				all.results = append(all.results, r)
			}
		}
		all.checkAll(f)
		if f.n != c.want {
			t.Errorf("own gaps %s: the judge reports %d failures, want %d", c.own, f.n, c.want)
		}
	}
}
