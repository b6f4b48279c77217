// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// act is a packet of the bridge as a server has read it: a CONNECT or a PUBLISH.
type act struct {
	at     time.Time
	server string
	// user is the user name in the CONNECT. It names the runner and the start of its process.
	user string
	// connected is the time of the CONNECT of the same connection.
	connected time.Time
	connect   bool // it is a CONNECT; otherwise a PUBLISH
	// sent is the time at which the source has accepted the message of a PUBLISH. It is zero if it is not known.
	sent time.Time
	// overtaken is true if another connection had taken the session over before.
	overtaken bool
}

// userOf is the user name of the n-th process of a runner.
func userOf(runner, n int) string { return fmt.Sprintf("%d-%d", runner, n) }

// runner is the number of the runner, 0 or 1.
func (a *act) runner() int {
	text, _, _ := strings.Cut(a.user, "-")
	n, _ := strconv.Atoi(text) // only [userOf] makes users
	return n
}

func (a *act) String() string {
	name := "PUBLISH"
	if a.connect {
		name = "CONNECT"
	}
	return fmt.Sprintf("%s %s: %s of process %s", clock(a.at), a.server, name, a.user)
}

// span is the time of a fault. to is zero while the fault lasts.
type span struct{ from, to time.Time }

// end is the end of the part before t.
func (s *span) end(t time.Time) time.Time {
	if s.to.IsZero() || s.to.After(t) {
		return t
	}
	return s.to
}

// history is everything that a judge needs: the packets in the order in which the servers have read
// them, and the events that the test has caused.
type history struct {
	// timeout is --peer-timeout.
	timeout time.Duration

	mu   sync.Mutex
	acts []act
	// ended has the time at which the test has ended a process, or requested its end, by user.
	ended map[string]time.Time
	// killed has the time at which the test has killed a process, by user. A packet that a server reads
	// later was on its way.
	killed map[string]time.Time
	// handOvers are the requests to hand over, by runner.
	handOvers [2][]time.Time
	// sessionEnds are the times at which a server has ended all its connections.
	sessionEnds []time.Time
	// frozen are the times in which a runner was frozen, down those without a process, and cut those without a
	// connection between the runners.
	frozen, down [2][]span
	cut          []span
}

func newHistory(timeout time.Duration) *history {
	return &history{timeout: timeout, ended: map[string]time.Time{}, killed: map[string]time.Time{}}
}

func (h *history) add(a act) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts = append(h.acts, a)
}

// begin adds a fault that begins now, unless it lasts already.
func begin(spans *[]span) {
	if n := len(*spans); n == 0 || !(*spans)[n-1].to.IsZero() {
		*spans = append(*spans, span{from: time.Now()})
	}
}

// finish ends the latest fault now, if it lasts.
func finish(spans *[]span) {
	if n := len(*spans); n > 0 && (*spans)[n-1].to.IsZero() {
		(*spans)[n-1].to = time.Now()
	}
}

const (
	// noticed is a time without running that a runner surely notices: its limit is half of 3 s, plus an
	// interval of heartbeats.
	noticed = 1900 * time.Millisecond
	// early is how much earlier than by --peer-timeout a takeover is accepted: on a busy machine, the
	// runner may have heard the other one for the last time long before the fault.
	early = 600 * time.Millisecond
	// reconnecting is the time that two runners need to be connected again on a busy machine.
	reconnecting = 2500 * time.Millisecond
	// inWrite is the time within which a server reads the packets of one write.
	inWrite = 50 * time.Millisecond
	// inTransit is the time for which packets may wait in the buffers of a busy machine, and within which a frozen
	// process completes a write that had begun before.
	inTransit = 500 * time.Millisecond
)

// timeoutOf is the time after which a runner takes over from the other one. The first runner is preferred.
func (h *history) timeoutOf(runner int) time.Duration { return h.timeout * time.Duration(1+runner) }

// silence returns the time before t in which a runner could not hear the other one, with breaks that are
// not longer than pause. It is zero if it could at t.
func (h *history) silence(other int, t time.Time, pause time.Duration) (longest span) {
	faults := slices.Concat(h.cut, h.frozen[other], h.down[other])
	slices.SortFunc(faults, func(a, b span) int { return a.from.Compare(b.from) })
	for _, f := range faults {
		switch {
		case f.from.After(t):
		case longest.from.IsZero() || f.from.Sub(longest.to) > pause:
			longest = span{f.from, f.end(t)}
		case f.end(t).After(longest.to):
			longest.to = f.end(t)
		}
	}
	if t.Sub(longest.to) > pause {
		return span{}
	}
	return longest
}

// freezeOf returns the latest freeze of a runner that has ended before t and that it has noticed.
func (h *history) freezeOf(runner int, t time.Time) (f span, ok bool) {
	for _, f := range slices.Backward(h.frozen[runner]) {
		if !f.to.IsZero() && f.to.Before(t) && f.to.Sub(f.from) >= noticed {
			return f, true
		}
	}
	return span{}, false
}

// connectedBetween reports whether the bridge has connected to a server between two times.
func (h *history) connectedBetween(from, to time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.acts, func(a act) bool { return a.connect && a.at.After(from) && a.at.Before(to) })
}

// takeovers returns the CONNECTs at a server of another process than before.
func (h *history) takeovers(server string) (all []act) {
	h.mu.Lock()
	defer h.mu.Unlock()
	user := ""
	for _, a := range h.acts {
		if a.server == server && a.connect && a.user != user {
			if user != "" {
				all = append(all, a)
			}
			user = a.user
		}
	}
	return all
}

// violations returns the verdict of the judge on the history so far.
func (h *history) violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.judge()
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
