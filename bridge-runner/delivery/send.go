// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Up makes s the destination: all held messages are sent to it, in order. A message that
// is in flight in s, because its server has resumed the session, continues there.
func (p *Pipe) Up(s *session.Session) {
	p.mu.Lock()
	defer p.unlockAndFlush()
	if p.lastState != nil && p.lastState != s.State() {
		p.lastState.Abandon(s)
		p.leftStates = slices.DeleteFunc(p.leftStates, func(left *session.State) bool {
			return left == s.State() || !left.ReleaseOn(s)
		})
		p.leftStates = append(p.leftStates, p.lastState)
		p.refusals.resetLocked() // the other server may accept the messages
		p.refusals.pauseUntil = time.Time{}
	}
	p.dest, p.lastState, p.paused, p.destSince = s, s.State(), false, time.Now()
	p.spool.checkLocked()
	p.next, p.evictor = 0, evictor{}
	for i := range p.queue.len() {
		m := p.queue.at(i)
		p.leaveFlightLocked(m)
		m.fromBacklog = !s.State().InFlight(&m.Outgoing)
	}
	p.evaluateSuspectLocked(s)
	p.pumpLocked()
	p.dequeueDoneLocked()
	p.spool.reportStateLocked()
}

// Down reports that the destination s is lost.
func (p *Pipe) Down(s *session.Session) {
	p.mu.Lock()
	defer p.unlockAndFlush()
	if p.dest != s {
		return
	}
	p.sessionEndedLocked(s)
	p.dest, p.paused = nil, false
	p.qos0Bytes, p.evictor = p.spool.pendingQoS0BytesLocked(), evictor{}
	for i := range p.queue.len() {
		m := p.queue.at(i)
		p.leaveFlightLocked(m)
		if m.progress == done || m.QoS > 0 {
			continue
		}
		// A message that was received at QoS 0 is dropped unless BufferQoS0 is set. A message
		// that was received at a higher QoS is kept, because its source waits for it.
		switch {
		case m.settled():
		case m.progress == awaitingDeadLetter || m.origin.awaitsAck() || p.opts.BufferQoS0:
			p.qos0Bytes += m.size()
		default:
			p.finishLocked(m)
			p.meter.Dropped(DropNotConnected)
			p.endSpanLocked(m, Outcome{Result: ResultDropped, Cause: DropNotConnected})
		}
	}
	p.compactIfManyLocked()
	if p.spool != nil && p.queue.len() > 0 {
		p.spool.handleLocked(eventLost)
	}
	p.dequeueDoneLocked()
	p.spool.reportStateLocked()
	p.idle.Broadcast()
}

// Ready sends the messages for which the destination s had no room.
func (p *Pipe) Ready(s *session.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dest == s {
		p.pumpLocked()
		p.dequeueDoneLocked()
	}
}

// pumpLocked sends the messages for which the destination has room, oldest first.
func (p *Pipe) pumpLocked() {
	if p.dest == nil || p.paused {
		return
	}
	var now time.Time
	for ; p.next < p.queue.len(); p.next++ {
		m := p.queue.at(p.next)
		if m.progress != queued {
			continue
		}
		if now.IsZero() {
			now = time.Now()
		}
		if m.fromBacklog && p.pace.limited() && p.waitForRateLocked(now) {
			return
		}
		if m.settled() && p.spool.expired(m, now) {
			p.dropLocked(m, DropExpired)
			continue
		}
		if p.isolation.active() || len(p.refusals.byMessage) > 0 {
			if may, skip := p.maySendLocked(m, now); skip {
				continue
			} else if !may {
				return
			}
		}
		switch p.dest.Publish(&m.Outgoing, now) {
		case session.Full, session.Ended:
			return
		case session.Sent:
			p.enterFlightLocked(m)
			p.markSentLocked(m)
		case session.Written:
			p.markSentLocked(m)
			p.meter.Forwarded(len(m.Payload), now.Sub(m.ReceivedAt))
			p.endSpanLocked(m, Outcome{Result: ResultDelivered, Server: p.dest.Server()})
			p.untrackLocked(m)
			p.finishLocked(m)
		case session.TooLarge:
			p.giveUpLocked(m, DropTooLarge, diagnosis.MessageTooLarge)
			if m.progress == queued {
				return // it blocks the direction
			}
		case session.Expired:
			p.dropLocked(m, DropExpired)
		}
	}
	if p.compactIfManyLocked() {
		p.next = p.queue.len()
	}
	if p.isolation.witness && p.retryAllLocked(time.Now()) {
		p.pumpLocked()
	}
}

// wakeAtLocked plans a call of onTimer at the given time.
func (p *Pipe) wakeAtLocked(at, now time.Time) {
	if !p.wakeAt.IsZero() && !p.wakeAt.After(at) {
		return
	}
	p.wakeAt = at
	if p.timer == nil {
		p.timer = time.AfterFunc(at.Sub(now), p.onTimer)
		return
	}
	p.timer.Reset(at.Sub(now))
}

// onTimer tries to send all messages of the queue again.
func (p *Pipe) onTimer() {
	p.mu.Lock()
	defer p.unlockAndFlush()
	p.wakeAt, p.next = time.Time{}, 0
	p.pumpLocked()
	p.dequeueDoneLocked()
}

// markSentLocked records that m was sent.
func (p *Pipe) markSentLocked(m *outgoing) {
	if s := p.spanLocked(m); s != nil {
		s.Written(p.dest.Server(), m.sent)
	}
	if m.sent {
		p.meter.Resent(1)
	}
	m.sent = true
	p.uncountQoS0Locked(m)
	if m.fromBacklog && p.pace.limited() {
		p.pace.spend(time.Now(), len(m.Topic)+len(m.Payload))
	}
}

// uncountQoS0Locked removes a QoS 0 message from qos0Bytes. A message from the disk was
// never counted.
func (p *Pipe) uncountQoS0Locked(m *outgoing) {
	if m.QoS == 0 && !m.settled() {
		p.qos0Bytes -= m.size()
	}
}

// waitForRateLocked reports whether the backlog has to wait for the drain rate. If so, it
// plans a call of onTimer.
func (p *Pipe) waitForRateLocked(now time.Time) bool {
	wait := p.pace.wait(now)
	if wait <= 0 {
		return false
	}
	p.pacedUntil = now.Add(wait)
	p.wakeAtLocked(p.pacedUntil, now)
	return true
}

// dropLocked ends the forwarding of m without a delivery, and counts it by cause.
func (p *Pipe) dropLocked(m *outgoing, cause string) {
	p.forgetInSessionLocked(m)
	p.untrackLocked(m)
	p.uncountQoS0Locked(m)
	p.finishLocked(m)
	p.meter.Dropped(cause)
	p.endSpanLocked(m, Outcome{Result: ResultDropped, Cause: cause})
}

// Acknowledged handles a message that the destination has acknowledged or, if refused is
// not nil, refused.
func (p *Pipe) Acknowledged(s *session.Session, acked *session.Outgoing, refused *session.Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := acked.Owner.(*outgoing)
	if !ok || m.progress == done || p.lastState != s.State() {
		return
	}
	p.leaveFlightLocked(m)
	isolating := p.isolation.active()
	if refused != nil {
		p.refusedLocked(m, refused)
	} else {
		p.meter.Forwarded(len(m.Payload), time.Since(m.ReceivedAt))
		p.endSpanLocked(m, Outcome{Result: ResultDelivered, Server: s.Server()})
		p.untrackLocked(m)
		p.acceptedLocked(m)
		p.finishLocked(m)
	}
	p.dequeueDoneLocked()
	if isolating {
		p.pumpLocked()
		p.dequeueDoneLocked()
	}
}

// dequeueDoneLocked removes the done messages from the front of the queue and
// acknowledges them to the source, in the order in which they were received
// ([MQTT-4.6.0-2]).
func (p *Pipe) dequeueDoneLocked() {
	for p.queue.len() > 0 && p.queue.at(0).progress == done {
		m := p.queue.pop()
		if p.next > 0 {
			p.next--
		}
		if p.evictor.next > 0 {
			p.evictor.next--
		}
		if p.spool != nil {
			p.spool.dequeuedLocked(m)
		}
		if !m.settled() {
			p.settleLocked(m)
		}
	}
	p.renewSourcesLocked()
	p.meter.SetHeld(p.heldLocked(), p.inflight)
	if p.queue.len() == 0 || p.stopping || p.inflight == 0 && p.paused {
		p.idle.Broadcast()
	}
}

// Drain stops the intake and waits until all held messages are acknowledged or on disk,
// the destination is lost, or the context ends. It returns the number of messages left.
// The source keeps the QoS 1 and 2 messages among them.
func (p *Pipe) Drain(ctx context.Context) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping = true
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	for p.busyLocked() && ctx.Err() == nil {
		p.idle.Wait()
	}
	return p.notOnDiskLocked()
}

// busyLocked reports whether Drain has to wait for held messages.
func (p *Pipe) busyLocked() bool {
	if p.spool.hasUnwrittenLocked() {
		return true
	}
	now := time.Now()
	return p.dest != nil && (p.inflight > 0 || p.notOnDiskLocked() > 0 && !now.Before(p.pacedUntil) && !now.Before(p.refusals.pauseUntil))
}
