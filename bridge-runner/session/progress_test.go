// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"testing"
	"time"
)

// at is a look so many seconds after the start.
type at struct {
	seconds              float64
	given, taken, unsent int64
}

var start = time.Now()

func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

func (u *uplink) see(looks ...at) {
	if u.at.IsZero() {
		u.at = start
	}
	for _, l := range looks {
		u.look(after(l.seconds), underWay{l.given, l.taken, l.unsent}, start)
	}
}

func TestUplink_DataUnderWay_IsStalledSinceItLastMoved(t *testing.T) {
	for name, tc := range map[string]struct {
		looks []at
		want  float64 // seconds; -1: it is not stalled
	}{
		"all was taken":                   {[]at{{1, 100, 0, 0}, {2, 100, 100, 0}}, -1},
		"nothing was taken":               {[]at{{1, 100, 0, 0}, {9, 100, 0, 0}}, 0},
		"some was taken between two":      {[]at{{1, 100, 0, 0}, {2, 100, 0, 0}, {3, 100, 50, 0}, {9, 100, 50, 0}}, 2},
		"more was written, none taken":    {[]at{{1, 100, 0, 0}, {2, 200, 0, 0}, {9, 300, 0, 0}}, 0},
		"some is under way at every look": {[]at{{1, 100, 90, 0}, {2, 200, 190, 0}, {3, 300, 290, 0}}, 2},
		"written after all was taken":     {[]at{{1, 100, 100, 0}, {5, 200, 100, 0}, {9, 200, 100, 0}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var u uplink
			u.see(tc.looks...)
			if got := u.stalled.Sub(start).Seconds(); tc.want >= 0 && got != tc.want || u.stalled.IsZero() != (tc.want < 0) {
				t.Errorf("stalled since %v s, want %v", got, tc.want)
			}
		})
	}
}

func TestUplink_SlowLink_GrantsHiddenDataItsTime(t *testing.T) {
	const mb = 1 << 20
	for name, tc := range map[string]struct {
		looks []at
		want  float64 // seconds; -1: nothing is granted
	}{
		"fast, nothing is unsent":       {[]at{{1, mb, 0, 0}, {2, 2 * mb, mb, 0}, {3, 2 * mb, 2 * mb, 0}}, -1},
		"nothing was taken yet":         {[]at{{1, mb, 1000, mb}, {2, mb, 1000, mb}}, -1},
		"256 KiB a second":              {[]at{{1, mb, 0, mb}, {2, mb, 256 << 10, mb}, {3, mb, 512 << 10, mb}}, 4},
		"256 KiB a second, in bursts":   {[]at{{1, mb, 0, mb}, {2, mb, 0, mb}, {3, mb, 512 << 10, mb}}, 4},
		"256 KiB a second, then frozen": {[]at{{1, mb, 0, mb}, {2, mb, 256 << 10, mb}, {3, mb, 256 << 10, mb}}, 4},
		"1 KiB a second":                {[]at{{1, mb, 0, mb}, {2, mb, 1 << 10, mb}}, 62},
		"slow a while ago":              {[]at{{1, mb, 0, mb}, {2, mb, 256 << 10, mb}, {3, mb, mb, 0}, {60, 2 * mb, mb, 0}}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var u uplink
			u.see(tc.looks...)
			if got := u.arrived().Sub(start).Seconds(); tc.want >= 0 && got != tc.want || u.arrived().IsZero() != (tc.want < 0) {
				t.Errorf("arrived after %v s, want %v", got, tc.want)
			}
		})
	}
}

func TestWait_DataUnderWay_RunsWhenTheServerHasIt(t *testing.T) {
	for name, tc := range map[string]struct {
		looks []at
		want  float64
	}{
		"taken at once": {[]at{{1, 100, 100, 0}, {2, 100, 100, 0}}, 0},
		// A frozen server whose system goes on to take what is written.
		"taken at once, and later data": {[]at{{1, 100, 100, 0}, {2, 200, 150, 0}, {3, 300, 250, 0}}, 0},
		"nothing is taken":              {[]at{{1, 100, 0, 0}, {5, 100, 0, 0}}, 0},
		"under way, and moving":         {[]at{{1, 100, 10, 0}, {2, 100, 20, 0}, {3, 100, 30, 0}}, 2},
		"then taken, and later data":    {[]at{{1, 100, 10, 0}, {2, 100, 100, 0}, {3, 200, 150, 0}, {4, 300, 250, 0}}, 1},
		"moved, then stopped":           {[]at{{1, 100, 10, 0}, {2, 100, 20, 0}, {3, 100, 20, 0}, {9, 100, 20, 0}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				u   uplink
				w   wait
				got time.Time
			)
			for _, l := range tc.looks {
				u.see(l)
				got = w.look(&u, start, 100)
			}
			if seconds := got.Sub(start).Seconds(); seconds != tc.want {
				t.Errorf("the server's time runs since %v s, want %v", seconds, tc.want)
			}
		})
	}
}
