// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"testing"
	"time"
)

// A gap counts as own only while messages of the control stream arrived.
func TestStandstills_SilencesOfBoth_OnlyTheRestIsOwn(t *testing.T) {
	start := time.Now()
	span := func(from, to int) Silence {
		return Silence{From: start.Add(time.Duration(from) * time.Millisecond), To: start.Add(time.Duration(to) * time.Millisecond)}
	}
	for name, c := range map[string]struct {
		of, control []Silence
		gap, own    int // milliseconds
	}{
		"no silence":           {},
		"machine is fast":      {of: []Silence{span(10, 60)}, gap: 50, own: 50},
		"machine stands still": {of: []Silence{span(10, 60)}, control: []Silence{span(0, 70)}, gap: 50},
		"machine is slow at the beginning and the end": {
			of:      []Silence{span(10, 60)},
			control: []Silence{span(0, 9), span(9, 20), span(30, 40), span(50, 90)},
			gap:     50, own: 20,
		},
		"machine is a little slow":        {of: []Silence{span(10, 60)}, control: []Silence{span(10, 14), span(20, 24), span(30, 34)}, gap: 50, own: 50},
		"machine is slow at another time": {of: []Silence{span(10, 60)}, control: []Silence{span(0, 9), span(61, 900)}, gap: 50, own: 50},
		"the shorter gap is its own": {
			of:      []Silence{span(0, 100), span(200, 230)},
			control: []Silence{span(1, 100)},
			gap:     100, own: 30,
		},
	} {
		gap, own := NewStandstills(c.control).Longest(c.of)
		if gap.Length() != time.Duration(c.gap)*time.Millisecond || own != time.Duration(c.own)*time.Millisecond {
			t.Errorf("%s: gap %s, own %s, want %d and %d ms", name, gap.Length(), own, c.gap, c.own)
		}
	}
}
