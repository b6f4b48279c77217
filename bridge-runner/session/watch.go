// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// watcher finds a silent server, and keeps the session alive.
//
// When nothing has come, or nothing was sent ([MQTT-3.1.2-23]), for the keep alive it
// sends a PINGREQ (section 3.12), and when nothing comes for the ping timeout after
// that it ends the session: so a silent server is found within the sum of the two.
// Any bytes are an answer, since a large packet may take longer than a ping.
//
// While messages are in flight it ends the session, too, if none of them is
// acknowledged for the acknowledgement timeout, or one was passed over for that long
// ([MQTT-4.6.0-2]). It does so, too, if the server's TCP takes none of the data under
// way for that long.
//
// The timeouts do not run while the data that is to be answered is under way and moves
// (see [uplink]), nor while an answer may be behind messages that the server sends: then the
// answer to a PINGREQ says when all that was before it has come.
type watcher struct {
	s      *Session
	uplink uplink

	asked     time.Time // when the PINGREQ without an answer was sent
	askedMark int64     // bytes that were written with it
	pings     int64     // how many were sent
	barrier   int64     // the ping whose answer comes after an acknowledgement that is due
	barred    time.Time // when the wait for that acknowledgement began

	halfway time.Time // when the wait for the acknowledgement began of which half is over
	pongs   int64     // how many answers to pings had come then

	ping, ack, skipped wait

	how Ending // the session, if it has to end
}

func (s *Session) watch() {
	w := &watcher{s: s}
	w.uplink.at = time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.released:
		case <-s.gone:
			return
		}
		next, err := w.look(time.Now())
		if err != nil {
			s.refuse(codeUnspecified, err, w.how)
			return
		}
		timer.Reset(next)
	}
}

// look does what is due, and returns when to look again.
func (w *watcher) look(now time.Time) (next time.Duration, err *Error) {
	s := w.s
	data, heard := s.conn.socket.underWay(), s.conn.socket.heard()
	before := w.uplink.given
	s.state.mu.Lock()
	sent, first := s.sent, s.firstSent
	if data.taken >= data.given {
		s.firstSent = time.Time{}
	}
	s.state.mu.Unlock()
	w.uplink.look(now, data, first)

	if !w.asked.IsZero() && heard.After(w.asked) {
		w.asked = time.Time{}
	}
	next, err = w.checkAcks(now)
	if err == nil && w.uplink.moving() {
		next, err = earlier(next, s.cfg.AckTimeout-now.Sub(w.uplink.stalled), s.untaken)
	}
	if err != nil {
		return 0, err
	}
	next = min(next, w.keepAlive(now, heard, sent))
	if !w.asked.IsZero() {
		next, err = earlier(next, w.answerDue(now), unanswered)
	}
	return w.soon(next, data.given != before), err
}

// earlier returns the earlier of two times that are left. It is an error if the second
// one is over.
func earlier(next, left time.Duration, overdue func() *Error) (first time.Duration, failed *Error) {
	if left <= 0 {
		return 0, overdue()
	}
	return min(next, left), nil
}

// soon bounds the time to the next look: while data is under way, and so that one is in
// time for data that is written meanwhile.
func (w *watcher) soon(next time.Duration, written bool) time.Duration {
	timeout := min(w.s.cfg.AckTimeout, w.s.cfg.PingTimeout)
	if written || w.uplink.moving() {
		return min(next, max(min(timeout/looks, maxLook), minLook))
	}
	return min(next, timeout/4)
}

// keepAlive sends a PINGREQ if one is due, and returns when the next one is.
func (w *watcher) keepAlive(now, heard, sent time.Time) time.Duration {
	since := sent // the server counts what comes, not what it answers
	if w.asked.IsZero() {
		since = earliest(heard, sent)
	}
	if left := w.s.keepAlive - now.Sub(since); left > 0 {
		return left
	}
	w.sendPing(now)
	return w.s.keepAlive
}

func (w *watcher) sendPing(now time.Time) {
	w.s.write(packet.AppendPing)
	w.s.Flush()
	w.pings++
	if w.asked.IsZero() {
		w.asked, w.askedMark = now, w.s.conn.socket.given.Load()
	}
}

// answerDue is how long the server still has to answer the ping.
func (w *watcher) answerDue(now time.Time) time.Duration {
	cfg := &w.s.cfg
	since, timeout := w.ping.look(&w.uplink, w.asked, w.askedMark), cfg.PingTimeout
	if !w.ping.reached {
		since = latest(since, w.uplink.arrived())
		if w.uplink.unsent >= backlog { // the server cannot have the ping
			timeout = max(timeout, cfg.AckTimeout)
		}
	}
	return timeout - now.Sub(since)
}

// unansweredRelease is how long a server of MQTT 3.1.1 that has granted a lower QoS than 2
// may leave the first PUBRELs unanswered before it is connected anew, to find out by a
// message whether it has QoS 2. RabbitMQ has not, and handles nothing any more after a
// PUBREL.
const unansweredRelease = 2 * time.Second

// checkAcks returns how long it takes at least until an acknowledgement is overdue,
// or the error that one is.
func (w *watcher) checkAcks(now time.Time) (left time.Duration, overdue *Error) {
	s := w.s
	s.state.mu.Lock()
	releasing := s.releasing && len(s.state.out.stale) > 0
	doubtful := s.releasing && !s.releasedSome
	lowGrant := s.state.out.lowGrant && !s.state.out.tried
	inflight, progressed, overtaken := s.unacknowledged, s.progressed, s.overtaken
	mark := s.ackMark.given
	if !s.ackMark.at.Equal(progressed) { // nothing was sent since
		mark = s.conn.socket.given.Load() + int64(len(s.buf))
	}
	s.state.mu.Unlock()
	left = s.cfg.AckTimeout
	if inflight == 0 && !releasing {
		return left, nil
	}
	since := w.ack.look(&w.uplink, progressed, mark)
	if doubtful && lowGrant {
		if left = unansweredRelease - now.Sub(since); left > 0 {
			return left, nil
		}
		s.state.doubtQoS2(false)
		s.Renew()
	}
	w.askMeanwhile(now, progressed, s.cfg.AckTimeout-now.Sub(since))
	left, overdue = earlier(s.cfg.AckTimeout, w.due(now, progressed, since), func() *Error {
		w.how = Ending{Silent: true, PassedOver: !overtaken.IsZero(), Answering: s.conn.pongs.Load() > w.pongs}
		if doubtful {
			s.state.doubtQoS2(w.how.Answering)
		}
		return newError(v1alpha1.ReasonAckTimeout, fmt.Sprintf("the server has acknowledged no message for %v", s.cfg.AckTimeout), nil)
	})
	if overdue != nil || overtaken.IsZero() {
		return left, overdue
	}
	return earlier(left, w.due(now, overtaken, w.skipped.look(&w.uplink, overtaken, w.uplink.given)), func() *Error {
		w.how = Ending{Silent: true, PassedOver: true, Answering: true}
		return newError(v1alpha1.ReasonAckTimeout, fmt.Sprintf("the server has acknowledged later messages and left one out for %v", s.cfg.AckTimeout), nil)
	})
}

// askMeanwhile sends a ping when half of the time for an acknowledgement is over: a server
// that answers it, and acknowledges nothing, is not frozen.
func (w *watcher) askMeanwhile(now, began time.Time, left time.Duration) {
	if left > w.s.cfg.AckTimeout/2 || w.halfway.Equal(began) {
		return
	}
	w.halfway, w.pongs = began, w.s.conn.pongs.Load()
	w.sendPing(now)
}

// due is how long the server still has to acknowledge, for which it has had the time
// since then. If it has none left, and messages come from it, the acknowledgement may be
// behind them: a ping shows when it no longer can be.
func (w *watcher) due(now, began, since time.Time) time.Duration {
	left := w.s.cfg.AckTimeout - now.Sub(since)
	if left > 0 {
		return left
	}
	busy := w.s.cfg.AckTimeout - now.Sub(w.s.conn.lastPublish())
	if busy <= 0 {
		return left
	}
	if !w.barred.Equal(began) {
		w.sendPing(now)
		w.barred, w.barrier = began, w.pings
	}
	if w.s.conn.pongs.Load() >= w.barrier {
		return left
	}
	return min(busy, maxLook)
}

// ackMark is how much was written when something was last acknowledged.
type ackMark struct {
	at    time.Time
	given int64
}

// noteSent notes that something was written. The lock is held.
func (s *Session) noteSent(now time.Time) {
	s.sent = now
	if s.firstSent.IsZero() {
		s.firstSent = now
	}
	if !s.ackMark.at.Equal(s.progressed) {
		s.ackMark = ackMark{s.progressed, s.conn.socket.given.Load()}
	}
}

func unanswered() *Error {
	return newError(v1alpha1.ReasonPingTimeout, "the server did not answer a ping within pingTimeoutSeconds", nil)
}

// untaken is the error that the server takes no data. The network may have said why.
func (s *Session) untaken() *Error {
	if err := s.conn.socket.raw.softError(); err != nil {
		return lostError(err)
	}
	return newError(v1alpha1.ReasonAckTimeout, "the server has taken no data for ackTimeoutSeconds", nil)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
