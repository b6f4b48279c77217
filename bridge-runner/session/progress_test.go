// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// at is a measurement, this number of seconds after the start.
type at struct {
	seconds                   float64
	written, tcpAcked, unsent int64
}

var start = time.Now()

func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// see updates u with these measurements.
func (u *uplink) see(updates ...at) {
	if u.updatedAt.IsZero() {
		u.updatedAt = start
	}
	for _, l := range updates {
		u.update(after(l.seconds), transport.Transit{Written: l.written, TCPAcked: l.tcpAcked, Unsent: l.unsent}, start)
	}
}

func TestUplink_DataUnderWay_IsStalledSinceItLastMoved(t *testing.T) {
	for name, tc := range map[string]struct {
		updates []at
		want    float64 // seconds; -1: it is not stalled
	}{
		"all was acknowledged":            {[]at{{1, 100, 0, 0}, {2, 100, 100, 0}}, -1},
		"nothing was acknowledged":        {[]at{{1, 100, 0, 0}, {9, 100, 0, 0}}, 0},
		"some was acknowledged between":   {[]at{{1, 100, 0, 0}, {2, 100, 0, 0}, {3, 100, 50, 0}, {9, 100, 50, 0}}, 2},
		"more written, none acknowledged": {[]at{{1, 100, 0, 0}, {2, 200, 0, 0}, {9, 300, 0, 0}}, 0},
		"always some in transit":          {[]at{{1, 100, 90, 0}, {2, 200, 190, 0}, {3, 300, 290, 0}}, 2},
		"written after all acknowledged":  {[]at{{1, 100, 100, 0}, {5, 200, 100, 0}, {9, 200, 100, 0}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var u uplink
			u.see(tc.updates...)
			if got := u.stalledSince.Sub(start).Seconds(); tc.want >= 0 && got != tc.want || u.stalledSince.IsZero() != (tc.want < 0) {
				t.Errorf("stalled since %v s, want %v", got, tc.want)
			}
		})
	}
}

func TestUplink_SlowLink_GrantsHiddenDataItsTime(t *testing.T) {
	const mb = 1 << 20
	for name, tc := range map[string]struct {
		updates []at
		want    float64 // seconds; -1: nothing is granted
	}{
		"fast, nothing is unsent":       {[]at{{1, mb, 0, 0}, {2, 2 * mb, mb, 0}, {3, 2 * mb, 2 * mb, 0}}, -1},
		"nothing acknowledged yet":      {[]at{{1, mb, 1000, mb}, {2, mb, 1000, mb}}, -1},
		"256 KiB a second":              {[]at{{1, mb, 0, mb}, {2, mb, 256 << 10, mb}, {3, mb, 512 << 10, mb}}, 4},
		"256 KiB a second, in bursts":   {[]at{{1, mb, 0, mb}, {2, mb, 0, mb}, {3, mb, 512 << 10, mb}}, 4},
		"256 KiB a second, then frozen": {[]at{{1, mb, 0, mb}, {2, mb, 256 << 10, mb}, {3, mb, 256 << 10, mb}}, 4},
		"1 KiB a second":                {[]at{{1, mb, 0, mb}, {2, mb, 1 << 10, mb}}, 62},
		"slow a while ago":              {[]at{{1, mb, 0, mb}, {2, mb, 256 << 10, mb}, {3, mb, mb, 0}, {60, 2 * mb, mb, 0}}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var u uplink
			u.see(tc.updates...)
			if got := u.arrivedBy().Sub(start).Seconds(); tc.want >= 0 && got != tc.want || u.arrivedBy().IsZero() != (tc.want < 0) {
				t.Errorf("arrived after %v s, want %v", got, tc.want)
			}
		})
	}
}

func TestWait_DataUnderWay_RunsWhenTheServerHasIt(t *testing.T) {
	for name, tc := range map[string]struct {
		updates []at
		want    float64
	}{
		"acknowledged at once": {[]at{{1, 100, 100, 0}, {2, 100, 100, 0}}, 0},
		// A frozen server whose system continues to accept data.
		"acknowledged at once, later data": {[]at{{1, 100, 100, 0}, {2, 200, 150, 0}, {3, 300, 250, 0}}, 0},
		"nothing is acknowledged":          {[]at{{1, 100, 0, 0}, {5, 100, 0, 0}}, 0},
		"in transit, and moving":           {[]at{{1, 100, 10, 0}, {2, 100, 20, 0}, {3, 100, 30, 0}}, 2},
		"then acknowledged, later data":    {[]at{{1, 100, 10, 0}, {2, 100, 100, 0}, {3, 200, 150, 0}, {4, 300, 250, 0}}, 1},
		"moved, then stopped":              {[]at{{1, 100, 10, 0}, {2, 100, 20, 0}, {3, 100, 20, 0}, {9, 100, 20, 0}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				u   uplink
				w   answerWait
				got time.Time
			)
			for _, l := range tc.updates {
				u.see(l)
				got = w.update(&u, start, 100)
			}
			if seconds := got.Sub(start).Seconds(); seconds != tc.want {
				t.Errorf("the server's time starts at %v s, want %v", seconds, tc.want)
			}
		})
	}
}
