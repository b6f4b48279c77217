// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "time"

// A slow link is not treated as a lost server. The timeouts of pings and acknowledgements
// run while the server has the data that it is to answer, not while that is under way:
//
//	written ──> kept by the socket ──> system's send buffer ──> link ──> server's TCP ──> server
//	   given               unsent                                    taken        hidden
//
// The other end's TCP says how far the data has come (taken). It may be a proxy's, and the server
// reads from its own buffers when it has the time: some data is hidden there. How long
// that takes is estimated from the rate at which data was taken while some was unsent.
// All of it is measured in looks, some per timeout, and never per message.

const (
	// looks is how many times per timeout a session looks at data under way.
	looks = 20
	// maxLook and minLook bound the time between two looks.
	maxLook, minLook = 500 * time.Millisecond, 5 * time.Millisecond
	// backlog is how many bytes unsent show that the link or the server is slow. Fewer may
	// be unsent on any link after the loss of a packet.
	backlog = 16 << 10
	// rateTime is how long the measurement of the rate remembers.
	rateTime = 30 * time.Second
	// maxHidden bounds the time that hidden data is granted.
	maxHidden = time.Minute
)

// uplink measures how the other end takes the data.
type uplink struct {
	underWay
	at, before time.Time // of the latest look, and of the one before

	// stalled is since when nothing was taken of the data under way. Zero: there is none.
	stalled time.Time

	bytes   int64         // taken between looks at which data was unsent
	passed  time.Duration // between them
	drained time.Time     // when the other end last took data while more was unsent
}

// look takes over how far the data has come. sent is when something was first written
// after the latest look at which nothing was under way.
func (u *uplink) look(now time.Time, next underWay, sent time.Time) {
	next.taken = max(next.taken, u.taken)
	grown := next.taken - u.taken
	if u.unsent > 0 && next.unsent > 0 {
		u.bytes += grown
		u.passed += now.Sub(u.at)
		if grown > 0 {
			u.drained = now
		}
		if u.passed > rateTime {
			u.bytes /= 2
			u.passed /= 2
		}
	} else if u.unsent == 0 && next.unsent > 0 {
		u.bytes, u.passed = 0, 0
	}
	u.before, u.at, u.underWay = u.at, now, next
	switch {
	case u.taken >= u.given:
		u.stalled = time.Time{}
	case u.stalled.IsZero():
		u.stalled = latest(u.before, sent)
	case grown > 0: // at some time since then
		u.stalled = latest(u.stalled, u.before)
	}
}

// moving reports whether data is under way.
func (u *uplink) moving() bool { return u.taken < u.given }

// arrived is when the server certainly has all that was taken while more was unsent. It is
// zero if the link has not been slow.
func (u *uplink) arrived() time.Time {
	if u.drained.IsZero() || u.bytes == 0 {
		return time.Time{}
	}
	rate := float64(u.bytes) / u.passed.Seconds()
	return u.drained.Add(min(time.Duration(hidden/rate*float64(time.Second)), maxHidden))
}

// wait is a wait for the answer to data.
type wait struct {
	began   time.Time // it is another wait if this is another time
	since   time.Time // the server's time to answer runs since then at the earliest
	mark    int64     // bytes that were written before
	taken   int64     // of them, at the latest look
	reached bool      // the other end has taken all up to the mark
}

// look returns since when the server has had the time to answer: none of the data has
// moved since then. mark is how much was written when the wait began.
func (w *wait) look(u *uplink, began time.Time, mark int64) time.Time {
	if !w.began.Equal(began) {
		*w = wait{began: began, since: began, mark: mark, taken: u.taken}
	}
	if w.reached {
		return w.since
	}
	if u.taken > w.taken {
		w.since, w.taken = latest(w.since, u.before), u.taken
	}
	if u.taken >= w.mark {
		w.reached, w.since = true, latest(w.since, u.arrived())
	}
	return w.since
}
