// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "time"

// watcher keeps the session alive and ends it if the server is silent.
//
// When the session has received nothing, or sent nothing ([MQTT-3.1.2-23]), for the keep
// alive or up to a quarter less, the watcher sends a PINGREQ (section 3.12). When nothing arrives within the ping
// timeout after that, it ends the session: so it detects a silent server within the sum of
// the two. Any bytes count as an answer, because a large packet may take longer than a
// ping.
//
// While messages are in flight, the watcher also ends the session if the server
// acknowledges none of them for the acknowledgement timeout, or skips a message for that
// time ([MQTT-4.6.0-2]). It also ends the session if the peer's TCP acknowledges none of
// the data in transit for that time.
//
// The timeouts do not run while the data to be answered is in transit and moves (see
// [uplink]). They also do not run while an answer may be queued behind messages that the
// server sends: then the answer to a PINGREQ shows that everything before it has arrived.
//
// It has no goroutine of its own, see schedule.go.
type watcher struct {
	s      *Session
	uplink uplink

	// pingInterval is the time without data after which a PINGREQ is sent.
	pingInterval time.Duration
	// pingSentAt is when the oldest unanswered PINGREQ was sent. It is zero if there is none.
	pingSentAt time.Time
	// pingMark is the number of bytes written up to that PINGREQ.
	pingMark int64
	// lastPing is the number of the latest PINGREQ of the watcher, see Session.sendPing, and
	// lastPingEnd the number of bytes written up to it.
	lastPing, lastPingEnd int64

	// barrierPing is the number of a PINGREQ. When it is answered, an overdue acknowledgement
	// cannot be behind messages any more. barrierSince is when the wait for that
	// acknowledgement began.
	barrierPing  int64
	barrierSince time.Time

	// halfwaySince is when the wait for an acknowledgement began whose halfway PINGREQ was sent
	// last. halfwayPongs is the number of PINGRESPs that had arrived before that PINGREQ.
	halfwaySince time.Time
	halfwayPongs int64

	ping, ack, skipped answerWait

	// ending is how the session ends if the watcher ends it.
	ending Ending
}

// check does the work that is due, and returns the time until the next check.
func (w *watcher) check(now time.Time) (next time.Duration, err error) {
	s := w.s
	data, received := s.conn.Transit(), s.conn.LastReceived()
	before := w.uplink.Written
	s.state.mu.Lock()
	s.flushedSinceCheck = false
	sent, first, idle := s.lastSentAt, s.firstSentAt, s.nothingAwaitedLocked()
	if data.TCPAcked >= data.Written {
		s.firstSentAt = time.Time{}
	}
	s.state.mu.Unlock()
	w.uplink.update(now, data, first)

	if !w.pingSentAt.IsZero() && received.After(w.pingSentAt) {
		w.pingSentAt = time.Time{}
	}
	next, err = w.checkAcks(now)
	if err == nil && w.uplink.inTransit() {
		next, err = earlier(next, s.cfg.AckTimeout-now.Sub(w.uplink.stalledSince), s.noDataAcceptedError)
	}
	if err != nil {
		return 0, err
	}
	next = min(next, w.sendKeepAlive(now, received, sent))
	if !w.pingSentAt.IsZero() {
		next, err = earlier(next, w.pingTimeLeft(now), w.pingOverdue)
	}
	switch {
	case w.uplink.inTransit(), data.Written != before && data.Written != w.lastPingEnd:
		return min(next, s.checkInterval()), err
	case idle && w.pingSentAt.IsZero():
		return onGrid(now, next), err
	default:
		return min(next, s.firstCheck()), err
	}
}

// earlier returns the lower of two remaining times. If left has run out, it returns an
// error.
func earlier(next, left time.Duration, overdue func() error) (first time.Duration, failed error) {
	if left <= 0 {
		return 0, overdue()
	}
	return min(next, left), nil
}

// sendKeepAlive sends a PINGREQ if it is due, and returns the time until the next one is
// due.
func (w *watcher) sendKeepAlive(now, received, sent time.Time) time.Duration {
	since := sent // the server counts the packets that it receives, not the packets that it sends
	if w.pingSentAt.IsZero() {
		since = earliest(received, sent)
	}
	early := time.Duration(0)
	if w.pingInterval >= gridFrom {
		early = gridInterval // see onGrid
	}
	if left := w.pingInterval - now.Sub(since); left > early {
		return left
	}
	w.sendPing(now)
	return w.pingInterval
}

func (w *watcher) sendPing(now time.Time) {
	w.lastPing = w.s.sendPing()
	w.lastPingEnd = w.s.conn.Written()
	if w.pingSentAt.IsZero() {
		w.pingSentAt, w.pingMark = now, w.lastPingEnd
	}
}

// pingTimeLeft returns how long the server still has to answer the ping.
func (w *watcher) pingTimeLeft(now time.Time) time.Duration {
	cfg := &w.s.cfg
	since, timeout := w.ping.update(&w.uplink, w.pingSentAt, w.pingMark), cfg.PingTimeout
	if !w.ping.reached {
		since = latest(since, w.uplink.arrivedBy())
		if w.uplink.Unsent >= slowUnsent { // the server cannot have the PINGREQ yet
			timeout = max(timeout, cfg.AckTimeout)
		}
	}
	return timeout - now.Sub(since)
}

// pingOverdue returns the error of a ping that the server has not answered. RabbitMQ answers none after a PUBREL. If this
// were not recorded here, the next connection would end in the same way: the ping timeout may be shorter than the
// acknowledgement timeout.
func (w *watcher) pingOverdue() error {
	s := w.s
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.pubrelsSent && !s.pubrelAnswered && w.ping.reached && s.lastAckAt.Before(w.pingSentAt) {
		s.state.out.doubtQoS2(false)
	}
	return pingTimeoutError()
}

// unansweredRelease is how long a server of MQTT 3.1.1 that has granted a QoS below 2 may
// leave the first PUBRELs unanswered. After that the bridge reconnects to it, and a trial
// message shows whether the server supports QoS 2. RabbitMQ does not, and stops handling
// packets after a PUBREL.
const unansweredRelease = 2 * time.Second

// checkAcks returns how long it takes at least until an acknowledgement is overdue. If an
// acknowledgement is overdue, it returns an error.
func (w *watcher) checkAcks(now time.Time) (left time.Duration, overdue error) {
	s := w.s
	s.state.mu.Lock()
	idle := s.nothingAwaitedLocked()
	noneAnswered := s.pubrelsSent && !s.pubrelAnswered
	notGranted := s.state.out.grantedBelowQoS2 && !s.state.out.trialPassed
	lastAckAt, skippedSince := s.lastAckAt, s.skippedSince
	mark := s.ackMark.written
	if !s.ackMark.at.Equal(lastAckAt) { // nothing was flushed since lastAckAt
		mark = s.conn.Written() + int64(len(s.unflushed))
	}
	s.state.mu.Unlock()
	if idle {
		return w.pingInterval, nil // nothing is due before the next PINGREQ
	}
	since := w.ack.update(&w.uplink, lastAckAt, mark)
	if noneAnswered && notGranted {
		if left = unansweredRelease - now.Sub(since); left > 0 {
			return left, nil
		}
		s.state.doubtQoS2(false)
		s.RequestReconnect()
	}
	w.pingAtHalfway(now, lastAckAt, s.cfg.AckTimeout-now.Sub(since))
	left, overdue = earlier(s.cfg.AckTimeout, w.ackTimeLeft(now, lastAckAt, since), func() error {
		w.ending = Ending{AckTimedOut: true, Skipped: !skippedSince.IsZero(), Answering: s.conn.pongs.Load() > w.halfwayPongs}
		if noneAnswered {
			s.state.doubtQoS2(w.ending.Answering)
		}
		return &Error{Kind: NoAcknowledgement, Timeout: s.cfg.AckTimeout}
	})
	if overdue != nil || skippedSince.IsZero() {
		return left, overdue
	}
	return earlier(left, w.ackTimeLeft(now, skippedSince, w.skipped.update(&w.uplink, skippedSince, w.uplink.Written)), func() error {
		w.ending = Ending{AckTimedOut: true, Skipped: true, Answering: true}
		return &Error{Kind: MessageSkipped, Timeout: s.cfg.AckTimeout}
	})
}

// pingAtHalfway sends a PINGREQ when half of the time for an acknowledgement has passed: a
// server that answers it and acknowledges nothing is not frozen.
func (w *watcher) pingAtHalfway(now, began time.Time, left time.Duration) {
	if left > w.s.cfg.AckTimeout/2 || w.halfwaySince.Equal(began) {
		return
	}
	w.halfwaySince, w.halfwayPongs = began, w.s.conn.pongs.Load()
	w.sendPing(now)
}

// ackTimeLeft returns how long the server still has to acknowledge. since is when its time
// started, and began identifies the wait. If the time has run out, and messages arrive from
// the server, the acknowledgement may be behind them: then a PINGREQ shows when that is no
// longer possible.
func (w *watcher) ackTimeLeft(now, began, since time.Time) time.Duration {
	left := w.s.cfg.AckTimeout - now.Sub(since)
	if left > 0 {
		return left
	}
	busy := w.s.cfg.AckTimeout - now.Sub(w.s.conn.lastPublish())
	if busy <= 0 {
		return left
	}
	if !w.barrierSince.Equal(began) {
		w.sendPing(now)
		w.barrierSince, w.barrierPing = began, w.lastPing
	}
	if w.s.conn.pongs.Load() >= w.barrierPing {
		return left
	}
	return min(busy, maxCheckInterval)
}

// ackMark is the number of bytes written at the first flush after lastAckAt.
type ackMark struct {
	at      time.Time // lastAckAt of that flush
	written int64
}

// noteSentLocked records that data was flushed.
func (s *Session) noteSentLocked(now time.Time) {
	s.lastSentAt = now
	if s.firstSentAt.IsZero() {
		s.firstSentAt = now
	}
	if !s.ackMark.at.Equal(s.lastAckAt) {
		s.ackMark = ackMark{s.lastAckAt, s.conn.Written()}
	}
	if !s.flushedSinceCheck {
		s.flushedSinceCheck = true
		s.checkSoonLocked(now, s.firstCheck())
	}
}

func pingTimeoutError() error {
	return &Error{Kind: PingTimeout}
}

// noDataAcceptedError explains that the server accepts no data. The network may have reported
// the cause.
func (s *Session) noDataAcceptedError() error {
	if err := s.conn.SoftError(); err != nil {
		return connectionLostError(err)
	}
	return &Error{Kind: NoDataAccepted}
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
