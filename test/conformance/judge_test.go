// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"testing"
	"time"
)

// TestJudge_Histories_FindsViolations checks the judge itself, with the times in seconds.
func TestJudge_Histories_FindsViolations(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	connect := func(s float64, server, user string) act {
		return act{at: at(s), server: server, user: user, connected: at(s), connect: true}
	}
	publish := func(s, connected float64, server, user string) act {
		return act{at: at(s), server: server, user: user, connected: at(connected)}
	}
	for name, tc := range map[string]struct {
		timeout float64
		change  func(h *history)
		acts    []act
		want    int // number of violations
	}{
		"one process": {acts: []act{connect(0, "l", "0-1"), publish(1, 0, "l", "0-1"), connect(2, "l", "0-1")}},
		"killed": {
			change: func(h *history) { h.ended["0-1"] = at(1) },
			acts:   []act{connect(0, "l", "0-1"), connect(2, "l", "1-1")},
		},
		"killed while its CONNECT is on its way": {
			change: func(h *history) { h.ended["0-1"], h.killed["0-1"] = at(1), at(1) },
			acts:   []act{connect(0, "l", "0-1"), connect(1.05, "l", "1-1"), connect(1.1, "l", "0-1"), connect(1.2, "l", "1-1"), publish(1.3, 1.2, "l", "1-1")},
		},
		"killed long before its CONNECT": {
			change: func(h *history) { h.ended["0-1"], h.killed["0-1"] = at(1), at(1) },
			acts:   []act{connect(0, "l", "0-1"), connect(1.05, "l", "1-1"), connect(1.6, "l", "0-1")}, want: 2,
		},
		"connects while it ends": {
			change: func(h *history) { h.ended["0-1"] = at(1) },
			acts:   []act{connect(0, "l", "0-1"), connect(1.05, "l", "1-1"), connect(1.1, "l", "0-1")}, want: 2,
		},
		"no cause":        {acts: []act{connect(0, "l", "0-1"), connect(2, "l", "1-1")}, want: 2}, // l, any server
		"no cause, timed": {timeout: 3, acts: []act{connect(0, "l", "0-1"), connect(2, "l", "1-1")}, want: 1},
		"handed over":     {change: func(h *history) { h.handOvers[0] = []time.Time{at(1)} }, acts: []act{connect(0, "l", "0-1"), connect(2, "l", "1-1")}},
		"handed over, back": {
			change: func(h *history) { h.handOvers[0] = []time.Time{at(1)} },
			acts:   []act{connect(0, "l", "0-1"), connect(2, "l", "1-1"), connect(9, "l", "0-1")}, want: 2,
		},
		"publishes at another server": {
			change: func(h *history) { h.handOvers[0] = []time.Time{at(1)} },
			acts:   []act{connect(0, "l", "0-1"), connect(0, "r", "0-1"), connect(2, "l", "1-1"), publish(3, 0, "r", "0-1")}, want: 1,
		},
		"cut, and back": {
			timeout: 3, change: func(h *history) { h.cut = []span{{from: at(1)}} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1")},
		},
		"cut, too early": {
			timeout: 3, change: func(h *history) { h.cut = []span{{from: at(1)}} },
			acts: []act{connect(0, "l", "0-1"), connect(4, "l", "1-1")}, want: 1,
		},
		"down, and then cut": {
			timeout: 3, change: func(h *history) {
				h.ended["0-1"], h.down[0], h.cut = at(1), []span{{at(1), at(2.5)}}, []span{{from: at(2)}}
			},
			acts: []act{connect(0, "l", "0-1"), connect(5.2, "l", "0-2"), connect(7, "l", "1-1")},
		},
		"down for a moment, and then cut": {
			timeout: 3, change: func(h *history) {
				h.ended["0-1"], h.down[0], h.cut = at(1), []span{{at(1), at(1.5)}}, []span{{from: at(5)}}
			},
			acts: []act{connect(0, "l", "0-1"), connect(1.6, "l", "0-2"), connect(7, "l", "1-1")}, want: 1,
		},
		"cut, back at once": {
			timeout: 3, change: func(h *history) { h.cut = []span{{from: at(1)}} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(7.1, "l", "0-1")}, want: 1,
		},
		"cut, both take over, and one continues after they have met": {
			timeout: 3, change: func(h *history) { h.cut = []span{{at(1), at(10.2)}} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(10.3, "l", "1-1")},
		},
		"cut, both take over, and both continue after they have met": {
			timeout: 3, change: func(h *history) { h.cut = []span{{at(1), at(10.2)}} },
			acts: []act{
				connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(10.3, "l", "1-1"),
				connect(10.4, "l", "0-1"),
			}, want: 1,
		},
		"cut, back before they have met": {
			timeout: 3, change: func(h *history) { h.cut = []span{{at(1), at(10.5)}} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(10.3, "l", "1-1")}, want: 1,
		},
		"cut, three takeovers": {
			timeout: 3, change: func(h *history) { h.cut = []span{{from: at(1)}} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(16.2, "l", "1-1")},
		},
		"cut, the third takeover too early": {
			timeout: 3, change: func(h *history) { h.cut = []span{{from: at(1)}} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(14, "l", "1-1")}, want: 1,
		},
		"cut, the server ends the session of the runner that took over": {
			timeout: 3, change: func(h *history) { h.cut, h.sessionEnds = []span{{from: at(1)}}, []time.Time{at(7.5)} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(13.6, "l", "1-1")},
		},
		"cut, the server ends the session of the runner that took over, too early": {
			timeout: 3, change: func(h *history) { h.cut, h.sessionEnds = []span{{from: at(1)}}, []time.Time{at(7.5)} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(12.8, "l", "1-1")}, want: 1,
		},
		"cut, the server ends the session of the runner that took over, which connects again": {
			timeout: 3, change: func(h *history) { h.cut, h.sessionEnds = []span{{from: at(1)}}, []time.Time{at(7.5)} },
			acts: []act{
				connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(7.6, "r", "1-1"), connect(10.1, "l", "0-1"),
				connect(13.6, "l", "1-1"),
			}, want: 1,
		},
		"cut, the server ends the session of the other runner before": {
			timeout: 3, change: func(h *history) { h.cut, h.sessionEnds = []span{{from: at(1)}}, []time.Time{at(6.9)} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(13.6, "l", "1-1")}, want: 1,
		},
		"cut, the server ends the session of the other runner afterwards": {
			timeout: 3, change: func(h *history) { h.cut, h.sessionEnds = []span{{from: at(1)}}, []time.Time{at(11.5)} },
			acts: []act{connect(0, "l", "0-1"), connect(7, "l", "1-1"), connect(10.1, "l", "0-1"), connect(16.2, "l", "1-1")},
		},
		"frozen long before, then cut, back at once": {
			timeout: 3, change: func(h *history) { h.frozen[0], h.cut = []span{{at(1), at(4)}}, []span{{from: at(10)}} },
			acts: []act{connect(0, "l", "0-1"), connect(4.1, "l", "0-1"), connect(16.1, "l", "1-1"), connect(16.2, "l", "0-1")}, want: 1,
		},
		"cut, back in time": {
			timeout: 3, change: func(h *history) { h.cut = []span{{from: at(1)}} },
			acts: []act{
				connect(0, "l", "0-1"), publish(6.9, 0, "l", "0-1"), connect(7, "l", "1-1"), publish(7.5, 7, "l", "1-1"),
				connect(12.5, "l", "0-1"),
			},
		},
		"cut, back too late": {
			timeout: 3, change: func(h *history) { h.cut = []span{{from: at(1)}} },
			acts: []act{
				connect(0, "l", "0-1"), publish(6.9, 0, "l", "0-1"), connect(7, "l", "1-1"), publish(7.5, 7, "l", "1-1"),
				connect(13.1, "l", "0-1"),
			}, want: 1,
		},
		"cut, no runner forwards before the end": {
			timeout: 3, change: func(h *history) { h.cut = []span{{at(1), at(13.1)}} },
			acts: []act{
				connect(0, "l", "0-1"), publish(6.9, 0, "l", "0-1"), connect(7, "l", "1-1"), publish(7.5, 7, "l", "1-1"),
				connect(13.2, "l", "1-1"),
			}, want: 1,
		},
		"cut, frozen meanwhile": {
			timeout: 3, change: func(h *history) { h.cut, h.frozen[0] = []span{{from: at(1)}}, []span{{at(7.5), at(10.4)}} },
			acts: []act{
				connect(0, "l", "0-1"), publish(6.9, 0, "l", "0-1"), connect(7, "l", "1-1"), publish(7.5, 7, "l", "1-1"),
				connect(13.5, "l", "0-1"),
			},
		},
		"cut, down meanwhile": {
			timeout: 3, change: func(h *history) {
				h.cut, h.ended["0-1"], h.down[0] = []span{{from: at(1)}}, at(2), []span{{at(2), at(4)}}
			},
			acts: []act{connect(0, "l", "0-1"), publish(2, 0, "l", "0-1"), connect(7.7, "l", "0-2")},
		},
		"cut, the hand-over is lost": {
			timeout: 3, change: func(h *history) { h.cut, h.handOvers[0] = []span{{from: at(1)}}, []time.Time{at(2)} },
			acts: []act{connect(0, "l", "0-1"), publish(2, 0, "l", "0-1"), connect(7.9, "l", "0-1")},
		},
		"frozen, taken over too late": {
			timeout: 3, change: func(h *history) { h.frozen[0] = []span{{from: at(1)}} },
			acts: []act{connect(0, "l", "0-1"), publish(1, 0, "l", "0-1"), connect(9.6, "l", "1-1")}, want: 1,
		},
		"frozen, the second wait of the other runner is longer": {
			timeout: 3, change: func(h *history) { h.frozen[0] = []span{{from: at(1)}} },
			acts: []act{
				connect(0, "l", "0-1"), publish(1, 0, "l", "0-1"), connect(7, "l", "1-1"), publish(7.5, 7, "l", "1-1"),
				connect(13.6, "l", "1-1"), publish(14, 13.6, "l", "1-1"), connect(26.1, "l", "1-1"),
			},
		},
		"frozen, publishes on the earlier connection": {
			change: func(h *history) { h.frozen[0] = []span{{at(1), at(4)}} },
			acts:   []act{connect(0, "l", "0-1"), publish(4.01, 0, "l", "0-1"), publish(4.1, 0, "l", "0-1")}, want: 1,
		},
		"frozen, completes one write for each connection": {
			change: func(h *history) { h.frozen[0] = []span{{at(1), at(4)}} },
			acts: []act{
				connect(0, "l", "0-1"), connect(0, "r", "0-1"), publish(4.1, 0, "l", "0-1"), publish(4.14, 0, "l", "0-1"),
				publish(4.2, 0, "r", "0-1"),
			},
		},
		"frozen, completes a write too late": {
			change: func(h *history) { h.frozen[0] = []span{{at(1), at(4)}} },
			acts:   []act{connect(0, "l", "0-1"), publish(4.6, 0, "l", "0-1")}, want: 1,
		},
		"frozen, publishes a message that it has received afterwards": {
			change: func(h *history) { h.frozen[0] = []span{{at(1), at(4)}} },
			acts: []act{
				connect(0, "l", "0-1"), publish(0.9, 0, "l", "0-1"),
				{at: at(4.001), server: "l", user: "0-1", connected: at(0), sent: at(1.1)},
			}, want: 1,
		},
		"frozen briefly": {
			change: func(h *history) { h.frozen[0] = []span{{at(1), at(2)}} },
			acts:   []act{connect(0, "l", "0-1"), publish(2.1, 0, "l", "0-1")},
		},
		"frozen and confirmed": {
			timeout: 3, change: func(h *history) { h.frozen[0] = []span{{at(1), at(4)}} },
			acts: []act{connect(0, "l", "0-1"), connect(4.1, "l", "0-1")},
		},
		"frozen and cut": {
			timeout: 3,
			change:  func(h *history) { h.frozen[0], h.cut = []span{{at(1), at(4)}}, []span{{from: at(2)}} },
			acts:    []act{connect(0, "l", "0-1"), connect(4.1, "l", "0-1")}, want: 1,
		},
	} {
		h := newHistory(time.Duration(tc.timeout * float64(time.Second)))
		if tc.change != nil {
			tc.change(h)
		}
		h.acts = tc.acts
		if got := h.judge(); len(got) != tc.want {
			t.Errorf("%s: %d violations, want %d: %q", name, len(got), tc.want, got)
		}
	}
}
