// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package delivery carries messages from the sessions of one side to the sessions
// of the other.
//
// It promises, for each direction:
//   - Nothing acknowledged is lost. A QoS 1 or 2 message is acknowledged to the
//     session by which it came only after the other side has acknowledged every
//     message made of it. Until then the server that it came from holds it, so a
//     runner may die at any instant.
//   - Order is kept. What a lost session had not acknowledged is sent again to the
//     next one, oldest first, before anything newer; or goes on in that session,
//     where the same server resumes it.
//   - Nothing blocks, so that the two directions cannot block each other. What is
//     held is bounded by what the source may leave unacknowledged, and by
//     [maxQoS0Bytes].
//   - QoS 0 messages are dropped, and counted, while no session is up.
//
// It knows sessions, but not how they are chosen.
package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Why a message was dropped.
const (
	DropNotConnected = "not_connected" // QoS 0 while no session is up
	DropQueueFull    = "queue_full"    // QoS 0 faster than the destination takes it
	DropExcluded     = "excluded"      // by the rules' exclude
	DropNoRule       = "no_rule"       // matches no rule: a subscription of an earlier manifest
	DropInvalidTopic = "invalid_topic" // the rule makes no valid topic of it
	DropStopping     = "stopping"      // QoS 0 while the runner drains
	DropTooLarge     = "too_large"     // the destination takes no packets of that size
	DropExpired      = "expired"       // its message expiry interval has passed
	DropRefused      = "refused"       // the destination refuses it by a reason code
	DropTooManyHops  = "too_many_hops" // it has gone over as many bridges as maxHops allows
)

// maxQoS0Bytes bounds the QoS 0 messages that wait for the destination.
const maxQoS0Bytes = 32 << 20

// Meter counts what a pipe does. Its methods are called with a lock held and must
// be quick.
type Meter interface {
	// Forwarded: a message of that many payload bytes was acknowledged by the
	// destination, or at QoS 0 written, so long after it was received.
	Forwarded(bytes int, latency time.Duration)
	// Dropped: a message was dropped for one of the causes above.
	Dropped(cause string)
	// Refused: the destination refuses messages to a topic, and says why.
	Refused(topic string, err *session.Error)
	// Resent: so many messages are sent again, to another session or by another
	// connection.
	Resent(messages int)
	// Redelivered: the source sent a message again that was held here.
	Redelivered()
	// Held: so many messages are held, so many of them in flight.
	Held(messages, inflight int)
}

// Pipe carries the messages of one direction.
type Pipe struct {
	rules []config.Rule
	ids   []uint32 // the rules' subscription identifiers
	meter Meter

	mu       sync.Mutex
	idle     sync.Cond // nothing is held, or in flight, or the destination is lost
	queue    queue     // not acknowledged by the destination, in order
	next     int       // place in queue of the first that may not be sent
	inflight int       // sent and not acknowledged
	qos0     int       // bytes of QoS 0 messages not sent
	dest     *session.Session
	last     *session.State // of the latest destination: what is in flight is in flight there
	stopping bool
	paused   bool // nothing more is sent to dest
}

// New returns a pipe.
func New(rules []config.Rule, meter Meter) *Pipe {
	p := &Pipe{rules: rules, ids: identifiers(rules), meter: meter}
	p.idle.L = &p.mu
	return p
}

// origin is a message as it came, until it is acknowledged to its source.
type origin struct {
	in     *session.Inbound
	queued int      // how many messages made of it are in the queue
	only   outgoing // the first of them, so that one allocation serves both
}

// outgoing is a message that the destination has not acknowledged.
type outgoing struct {
	session.Outgoing
	origin   *origin
	inflight bool // the destination has it
	sent     bool // once, to whatever destination
	done     bool // acknowledged, but one before it is not
}

// Receive takes a message in. Where the pipe is stopping, QoS 1 and 2 messages are
// left unacknowledged: the source keeps them.
func (p *Pipe) Receive(in *session.Inbound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.QoS > 0 && p.stopping {
		return
	}
	o := &origin{in: in}
	p.route(o)
	p.pump()
	p.release()
}

// Redelivered counts a message that the source sent again while it was held.
func (p *Pipe) Redelivered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter.Redelivered()
}

// route queues what the rules make of a message.
func (p *Pipe) route(o *origin) {
	cause := DropNoRule
	for i := range p.rules {
		r := &p.rules[i]
		if !asked(o.in, p.ids[i]) || !r.Filter.Match(o.in.Topic) {
			continue
		}
		if r.Excludes(o.in.Topic) {
			cause = DropExcluded
			continue
		}
		if tooManyHops(r, o.in.Properties) {
			cause = DropTooManyHops
			continue
		}
		topic, ok := r.Mapping.Map(o.in.Topic)
		if !ok {
			cause = DropInvalidTopic
			continue
		}
		m := &o.only
		if o.queued > 0 {
			m = &outgoing{}
		}
		m.origin, m.At, m.Owner = o, o.in.At, m
		m.Message = session.Message{
			Topic:      topic,
			Payload:    o.in.Payload,
			QoS:        min(o.in.QoS, r.QoS),
			Retain:     retain(r.Retain, o.in.Retain),
			Properties: properties(r, o.in.Properties),
		}
		if m.QoS == 0 && o.in.QoS == 0 {
			if cause = p.refuseQoS0(m); cause != "" {
				continue
			}
		}
		p.push(m)
		if m.QoS == 0 {
			p.qos0 += m.size()
		}
	}
	if o.queued > 0 {
		return
	}
	p.meter.Dropped(cause)
	if o.in.QoS > 0 {
		// It waits for its turn to be acknowledged behind those before it.
		o.only = outgoing{origin: o, done: true}
		p.push(&o.only)
	}
}

func (p *Pipe) push(m *outgoing) {
	m.origin.queued++
	p.queue.push(m)
}

// refuseQoS0 says why a QoS 0 message cannot be taken, if it cannot.
func (p *Pipe) refuseQoS0(m *outgoing) string {
	switch {
	case p.stopping:
		return DropStopping
	case p.dest == nil:
		return DropNotConnected
	case p.qos0+m.size() > maxQoS0Bytes:
		return DropQueueFull
	}
	return ""
}

// size is roughly what a message takes in memory, in bytes.
func (m *outgoing) size() int { return len(m.Payload) + len(m.Topic) + 200 }

// Up makes s the destination: all that is held is sent to it, in order, but what is
// in flight in s itself, because its server has resumed it.
func (p *Pipe) Up(s *session.Session) {
	p.mu.Lock()
	if p.last != nil && p.last != s.State() {
		p.last.Abandon()
	}
	p.dest, p.last, p.paused = s, s.State(), false
	p.next, p.inflight = 0, 0
	for i := range p.queue.len() {
		m := p.queue.at(i)
		if m.inflight = s.State().Holds(&m.Outgoing); m.inflight {
			p.inflight++
		}
	}
	if n := s.Resends(); n > 0 {
		p.meter.Resent(n)
	}
	p.pump()
	p.release()
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
	p.dest, p.inflight, p.paused = nil, 0, false
	p.qos0 = 0
	for i := range p.queue.len() {
		m := p.queue.at(i)
		m.inflight = false // until there is a destination
		if m.done || m.QoS > 0 {
			continue
		}
		// A message that came at QoS 0 is not kept for later. One that came at a
		// higher QoS is: its source waits for it.
		if m.origin.in.QoS == 0 {
			m.done = true
			p.meter.Dropped(DropNotConnected)
		} else {
			p.qos0 += m.size()
		}
	}
	p.release()
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
		if m.done || m.inflight {
			continue
		}
		if now.IsZero() {
			now = time.Now()
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
		case session.TooLarge:
			p.drop(m, DropTooLarge)
		case session.Expired:
			p.drop(m, DropExpired)
		}
	}
}

// sent notes that m was sent.
func (p *Pipe) sent(m *outgoing) {
	if m.sent {
		p.meter.Resent(1)
	}
	m.sent = true
	if m.QoS == 0 {
		p.qos0 -= m.size()
	}
}

func (p *Pipe) drop(m *outgoing, cause string) {
	m.done = true
	if m.QoS == 0 {
		p.qos0 -= m.size()
	}
	p.meter.Dropped(cause)
}

// Acknowledged notes that the destination has taken a message over, or refuses it.
func (p *Pipe) Acknowledged(s *session.Session, acked *session.Outgoing, refused *session.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := acked.Owner.(*outgoing)
	if !ok || m.done || p.last != s.State() {
		return
	}
	m.done = true
	if m.inflight {
		m.inflight = false
		p.inflight--
	}
	if refused != nil {
		p.meter.Dropped(DropRefused)
		p.meter.Refused(m.Topic, refused)
	} else {
		p.meter.Forwarded(len(m.Payload), time.Since(m.At))
	}
	p.release()
	p.pump()
	p.release()
}

// release drops from the front of the queue what is done, and acknowledges it to
// the source, in the order in which it came ([MQTT-4.6.0-2]).
func (p *Pipe) release() {
	for p.queue.len() > 0 && p.queue.at(0).done {
		m := p.queue.pop()
		if p.next > 0 {
			p.next--
		}
		m.origin.queued--
		if m.origin.queued == 0 {
			m.origin.in.Ack()
		}
	}
	p.meter.Held(p.queue.len(), p.inflight)
	if p.queue.len() == 0 || p.inflight == 0 && p.paused {
		p.idle.Broadcast()
	}
}

// Drain stops the intake and waits until what is held has been acknowledged, the
// destination is lost, or the context ends. It reports how many messages are left:
// their source keeps those of QoS 1 and 2.
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
	for p.queue.len() > 0 && p.dest != nil && ctx.Err() == nil {
		p.idle.Wait()
	}
	return p.queue.len()
}
