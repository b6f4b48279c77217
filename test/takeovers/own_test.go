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
	e := &event{name: "x", limit: inPlace, baseline: nothing}
	limit := time.Second + tolerated(inPlace)
	for own, want := range map[time.Duration]int{limit: 0, limit + 1: 1} {
		f, all := &failures{TB: t}, table{}
		for _, r := range []result{{event: nothing, own: time.Second}, {event: nothing}, {event: e, own: own}, {event: e}} {
			(&world{TB: f}).check(&r)
			all.results = append(all.results, r)
		}
		all.checkAll(f)
		if f.n != want {
			t.Errorf("own gap %s: the judge reports %d failures, want %d", own, f.n, want)
		}
	}
}
