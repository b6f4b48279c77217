// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// A slow link is not treated as a lost server. The timeouts of pings and acknowledgements
// run while the server has the data that it must answer, not while the data is in transit:
//
//	written ──> socket's buffer ──> system's send buffer ──> link ──> peer's TCP ──> server
//	 Written               Unsent                           TCPAcked        hidden
//
// The peer's TCP acknowledges the data that has arrived (TCPAcked). The peer may be a
// proxy, and the server reads from its own buffers when it has the time, so some of this
// data has not reached the server: it is hidden there. The delay is estimated from the rate
// at which the peer acknowledged data while more was unsent. The session measures all of it
// at intervals, several times per timeout, and never per message.

const (
	// checksPerTimeout is the number of measurements per timeout while data is in transit.
	checksPerTimeout = 20
	// maxCheckInterval and minCheckInterval bound the time between two measurements.
	maxCheckInterval, minCheckInterval = 500 * time.Millisecond, 5 * time.Millisecond
	// slowUnsent is the number of unsent bytes that shows that the link or the server is
	// slow. Fewer bytes may be unsent on any link after the loss of a packet.
	slowUnsent = 16 << 10
	// rateMemory is the time after which the measured bytes and time are halved.
	rateMemory = 30 * time.Second
	// maxHiddenBytes is the largest number of bytes that may be on their way although they count
	// as acknowledged: in the buffers of proxies, of the server, and perhaps of the system.
	maxHiddenBytes = transport.MaxUnreported + 256<<10
	// maxHiddenTime is the longest time that is granted for hidden data.
	maxHiddenTime = time.Minute
)

// uplink measures how the peer accepts the data.
type uplink struct {
	transport.Transit
	// updatedAt is the time of the latest measurement, and updatedBefore of the previous one.
	updatedAt, updatedBefore time.Time

	// stalledSince is the time since which the peer has acknowledged none of the data in
	// transit. It is zero if no data is in transit.
	stalledSince time.Time

	// slowBytes is the number of bytes that the peer acknowledged between measurements at which
	// data was unsent, and slowTime the time between these measurements.
	slowBytes int64
	slowTime  time.Duration
	// lastSlowAck is when the peer last acknowledged data while more was unsent.
	lastSlowAck time.Time
}

// update records a measurement. sent is when data was first written after the latest
// measurement at which no data was in transit.
func (u *uplink) update(now time.Time, next transport.Transit, sent time.Time) {
	next.TCPAcked = max(next.TCPAcked, u.TCPAcked)
	grown := next.TCPAcked - u.TCPAcked
	if u.Unsent > 0 && next.Unsent > 0 {
		u.slowBytes += grown
		u.slowTime += now.Sub(u.updatedAt)
		if grown > 0 {
			u.lastSlowAck = now
		}
		if u.slowTime > rateMemory {
			u.slowBytes /= 2
			u.slowTime /= 2
		}
	} else if u.Unsent == 0 && next.Unsent > 0 {
		u.slowBytes, u.slowTime = 0, 0
	}
	u.updatedBefore, u.updatedAt, u.Transit = u.updatedAt, now, next
	switch {
	case u.TCPAcked >= u.Written:
		u.stalledSince = time.Time{}
	case u.stalledSince.IsZero():
		u.stalledSince = latest(u.updatedBefore, sent)
	case grown > 0: // at some time after updatedBefore
		u.stalledSince = latest(u.stalledSince, u.updatedBefore)
	}
}

// inTransit reports whether the peer has not acknowledged all data.
func (u *uplink) inTransit() bool { return u.TCPAcked < u.Written }

// arrivedBy returns the time by which the server certainly has all data that the peer
// acknowledged while more was unsent. It is zero if the link has not been slow.
func (u *uplink) arrivedBy() time.Time {
	if u.lastSlowAck.IsZero() || u.slowBytes == 0 {
		return time.Time{}
	}
	rate := float64(u.slowBytes) / u.slowTime.Seconds()
	return u.lastSlowAck.Add(min(time.Duration(maxHiddenBytes/rate*float64(time.Second)), maxHiddenTime))
}

// answerWait is a wait for the answer to data.
type answerWait struct {
	began    time.Time // identifies the wait
	since    time.Time // the server's time to answer starts then or later
	mark     int64     // bytes written up to the end of the data
	tcpAcked int64     // bytes acknowledged by the peer's TCP at the latest update
	reached  bool      // tcpAcked has reached mark
}

// update returns when the server's time to answer started: when the peer last acknowledged
// some of the data. A different began starts another wait. mark is the number of bytes
// written when the wait began.
func (w *answerWait) update(u *uplink, began time.Time, mark int64) time.Time {
	if !w.began.Equal(began) {
		*w = answerWait{began: began, since: began, mark: mark, tcpAcked: u.TCPAcked}
	}
	if w.reached {
		return w.since
	}
	if u.TCPAcked > w.tcpAcked {
		w.since, w.tcpAcked = latest(w.since, u.updatedBefore), u.TCPAcked
	}
	if u.TCPAcked >= w.mark {
		w.reached, w.since = true, latest(w.since, u.arrivedBy())
	}
	return w.since
}
