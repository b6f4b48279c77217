// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Up makes s the destination: all that is held is sent to it, in order. A message that is
// in flight in s itself, because its server has resumed it, goes on there.
func (p *Pipe) Up(s *session.Session) {
	p.mu.Lock()
	if p.last != nil && p.last != s.State() {
		p.last.Abandon(s)
		p.refusals.forget() // the other server may take them
		p.refusals.until = time.Time{}
	}
	p.dest, p.last, p.paused, p.since = s, s.State(), false, time.Now()
	if p.disk != nil {
		p.leave()
	}
	p.next, p.inflight, p.kept = 0, 0, kept{}
	for i := range p.queue.len() {
		m := p.queue.at(i)
		m.inflight, m.backlog = false, !s.State().Holds(&m.Outgoing)
	}
	p.sentenceLocked(s)
	p.pump()
	p.release()
	p.tell()
	p.mu.Unlock()
	s.Flush()
}

// Down says that the destination s is lost.
func (p *Pipe) Down(s *session.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dest != s {
		return
	}
	p.judgeLocked(s)
	p.dest, p.inflight, p.paused = nil, 0, false
	p.qos0, p.kept = p.unwritten(), kept{}
	for i := range p.queue.len() {
		m := p.queue.at(i)
		m.inflight = false // until there is a destination
		if m.done || m.QoS > 0 {
			continue
		}
		// A message that came at QoS 0 is not kept for later. One that came at a
		// higher QoS is: its source waits for it.
		switch {
		case m.settled:
		case m.parked || m.origin.waits() || p.opts.BufferQoS0:
			p.qos0 += m.size()
		default:
			m.done = true
			p.clearLocked(m)
			p.meter.Dropped(DropNotConnected)
		}
	}
	p.sweepIfMany()
	if p.disk != nil && p.queue.len() > 0 {
		p.putBehind()
		p.enter()
	}
	p.release()
	p.tell()
	p.idle.Broadcast()
}

// Ready sends what the destination s had no room for.
func (p *Pipe) Ready(s *session.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dest == s {
		p.pump()
		p.release()
	}
}

// pump sends what the destination has room for, oldest first.
func (p *Pipe) pump() {
	if p.dest == nil || p.paused {
		return
	}
	var now time.Time
	for ; p.next < p.queue.len(); p.next++ {
		m := p.queue.at(p.next)
		if m.done || m.inflight || m.parked {
			continue
		}
		if now.IsZero() {
			now = time.Now()
		}
		if m.backlog && p.pace.limited() && p.pause(now) {
			return
		}
		if m.settled && p.disk.expired(m, now) {
			p.drop(m, DropExpired)
			continue
		}
		if p.isolation.until != nil || len(p.refusals.of) > 0 {
			if may, passOver := p.mayGoLocked(m, now); passOver {
				continue
			} else if !may {
				return
			}
		}
		switch p.dest.Publish(&m.Outgoing, now) {
		case session.Full, session.Ended:
			return
		case session.Sent:
			m.inflight = true
			p.inflight++
			p.sent(m)
		case session.Written:
			p.sent(m)
			m.done = true
			p.meter.Forwarded(len(m.Payload), now.Sub(m.At))
			p.goneLocked(m)
			p.clearLocked(m)
		case session.TooLarge:
			p.giveUpLocked(m, DropTooLarge, errTooLarge)
			if !m.done && !m.parked {
				return // it blocks
			}
		case session.Expired:
			p.drop(m, DropExpired)
		}
	}
	if p.sweepIfMany() {
		p.next = p.queue.len()
	}
	if p.isolation.witness && p.retryLocked(time.Now()) {
		p.pump()
	}
}

// wakeAtLocked has the queue looked at again at that time.
func (p *Pipe) wakeAtLocked(at, now time.Time) {
	if !p.alarm.IsZero() && !p.alarm.After(at) {
		return
	}
	p.alarm = at
	if p.timer == nil {
		p.timer = time.AfterFunc(at.Sub(now), p.lookAgain)
		return
	}
	p.timer.Reset(at.Sub(now))
}

func (p *Pipe) lookAgain() {
	p.mu.Lock()
	p.alarm, p.next = time.Time{}, 0
	p.pump()
	p.release()
	dest := p.dest
	p.mu.Unlock()
	if dest != nil {
		dest.Flush()
	}
	p.opts.Flush()
}

// sent notes that m was sent.
func (p *Pipe) sent(m *outgoing) {
	if m.sent {
		p.meter.Resent(1)
	}
	m.sent = true
	p.unwait(m)
	if m.backlog && p.pace.limited() {
		p.pace.spend(time.Now(), len(m.Topic)+len(m.Payload))
	}
}

// unwait notes that a message of QoS 0 waits in memory no more. One from the disk has
// never been counted.
func (p *Pipe) unwait(m *outgoing) {
	if m.QoS == 0 && !m.settled {
		p.qos0 -= m.size()
	}
}

// pause reports whether the backlog has to wait, and has it go on then.
func (p *Pipe) pause(now time.Time) bool {
	wait := p.pace.wait(now)
	if wait <= 0 {
		return false
	}
	p.pacedTill = now.Add(wait)
	p.wakeAtLocked(p.pacedTill, now)
	return true
}

func (p *Pipe) drop(m *outgoing, cause string) {
	p.forgetLocked(m)
	p.goneLocked(m)
	m.done = true
	p.unwait(m)
	p.clearLocked(m)
	p.meter.Dropped(cause)
}

// Acknowledged notes that the destination has taken a message over, or refuses it.
func (p *Pipe) Acknowledged(s *session.Session, acked *session.Outgoing, refused *session.Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := acked.Owner.(*outgoing)
	if !ok || m.done || p.last != s.State() {
		return
	}
	if m.inflight {
		m.inflight = false
		p.inflight--
	}
	isolating := p.isolation.until != nil
	if refused != nil {
		p.refusedLocked(m, refused)
	} else {
		m.done = true
		p.meter.Forwarded(len(m.Payload), time.Since(m.At))
		p.goneLocked(m)
		p.acceptedLocked(m)
		p.clearLocked(m)
	}
	p.release()
	if isolating {
		p.pump()
		p.release()
	}
}

// release drops from the front of the queue what is done, and acknowledges it to
// the source, in the order in which it came ([MQTT-4.6.0-2]).
func (p *Pipe) release() {
	for p.queue.len() > 0 && p.queue.at(0).done {
		m := p.queue.pop()
		if p.next > 0 {
			p.next--
		}
		if p.kept.next > 0 {
			p.kept.next--
		}
		if p.disk != nil {
			p.popped(m)
		}
		if !m.settled {
			p.settle(m)
		}
	}
	p.makeRoomLocked()
	p.meter.Held(p.held(), p.inflight)
	if p.queue.len() == 0 || p.stopping || p.inflight == 0 && p.paused {
		p.idle.Broadcast()
	}
}

// settle notes that a message needs its source no more. The source is told when that
// is so of every message made of what it sent.
func (p *Pipe) settle(m *outgoing) {
	m.settled = true
	o := m.origin
	if o == clearedOrigin {
		return
	}
	o.queued--
	if o.queued > 0 {
		return
	}
	p.bytes -= o.bytes
	if o.in == nil {
		go o.done() // the other direction's pipe has a lock of its own
		return
	}
	o.in.Ack()
}

// Drain stops the intake and waits until what is held has been acknowledged or is on
// disk, the destination is lost, or the context ends. It reports how many messages are
// left: their source keeps those of QoS 1 and 2.
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
	for p.busy() && ctx.Err() == nil {
		p.idle.Wait()
	}
	return p.direct()
}

// busy reports whether it is worth while to wait for what is held.
func (p *Pipe) busy() bool {
	if p.writing() {
		return true
	}
	now := time.Now()
	return p.dest != nil && (p.inflight > 0 || p.direct() > 0 && !now.Before(p.pacedTill) && !now.Before(p.refusals.until))
}
