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
//     next one, oldest first, before anything newer.
//   - No acknowledgement goes to another session than the message's own. Where a
//     server resumes its session and sends a message again that is held here, that
//     message is not forwarded twice; it is acknowledged on the new session.
//   - Receiving never blocks, so that the two directions cannot block each other.
//     What is held is bounded by what the source may leave unacknowledged, and by
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
	// Resent: a message was sent again to another session.
	Resent()
	// Redelivered: the source sent a message again that was held here.
	Redelivered()
	// Held: so many messages are held, so many of them in flight.
	Held(messages, inflight int)
}

// Pipe carries the messages of one direction.
type Pipe struct {
	rules  []config.Rule
	window int
	meter  Meter

	mu       sync.Mutex
	changed  sync.Cond // something to send, or the destination changed
	idle     sync.Cond // nothing is held, or the destination is lost
	queue    queue     // not acknowledged by the destination, in order
	next     int       // place in queue of the first not sent to this destination
	inflight int       // sent to this destination at QoS 1 or 2 and not acknowledged
	qos0     int       // bytes of QoS 0 messages not sent
	dest     *session.Session
	stopping bool

	source source
}

// New returns a pipe. window is the most QoS 1 and 2 messages in flight.
func New(rules []config.Rule, window int, meter Meter) *Pipe {
	p := &Pipe{rules: rules, window: window, meter: meter}
	p.changed.L, p.idle.L = &p.mu, &p.mu
	p.source.held = map[uint16]*origin{}
	return p
}

// outgoing is a message that the destination has not acknowledged.
type outgoing struct {
	session.Message
	origin   *origin
	received time.Time
	sentTo   *session.Session // nil: not sent
	done     bool             // acknowledged, but one before it is not
}

// Opened makes s the session that messages come by. server is the place of its
// server.
func (p *Pipe) Opened(s *session.Session, server int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.source.use(s, server)
}

// Receive takes a message in that came by s.
func (p *Pipe) Receive(s *session.Session, in *session.Inbound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.QoS > 0 {
		if p.stopping || p.source.late(s) {
			return // not acknowledged: the source keeps it
		}
		if o := p.source.redelivered(s, in); o != nil {
			p.meter.Redelivered()
			if o.queued == 0 { // delivered while its session was gone
				p.source.acknowledge(o)
			}
			return
		}
	}
	o := &origin{in: in, session: s}
	p.source.hold(o)
	p.route(o)
	in.Payload = nil // what was made of it has it
	p.release()
	p.changed.Broadcast()
}

// route queues what the rules make of a message.
func (p *Pipe) route(o *origin) {
	cause := DropNoRule
	now := time.Now()
	for i := range p.rules {
		r := &p.rules[i]
		if !r.Filter.Match(o.in.Topic) {
			continue
		}
		if r.Excludes(o.in.Topic) {
			cause = DropExcluded
			continue
		}
		topic, ok := r.Mapping.Map(o.in.Topic)
		if !ok {
			cause = DropInvalidTopic
			continue
		}
		m := &outgoing{origin: o, received: now, Message: session.Message{
			Topic:   topic,
			Payload: o.in.Payload,
			QoS:     min(o.in.QoS, r.QoS),
			Retain:  retain(r.Retain, o.in.Retain),
		}}
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
		p.push(&outgoing{origin: o, done: true})
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

// Up makes s the destination: all that is held is sent to it, in order.
func (p *Pipe) Up(s *session.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dest, p.next, p.inflight = s, 0, 0
	go p.send(s)
}

// Down says that the destination s is lost.
func (p *Pipe) Down(s *session.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dest != s {
		return
	}
	p.dest, p.inflight = nil, 0
	p.qos0 = 0
	for i := range p.queue.len() {
		m := p.queue.at(i)
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
	p.changed.Broadcast()
	p.idle.Broadcast()
}

// send publishes to s what is held, oldest first, until s is no longer the
// destination. One goroutine per destination runs it.
func (p *Pipe) send(s *session.Session) {
	for {
		m := p.take(s)
		if m == nil {
			return
		}
		if err := s.Publish(&m.Message, func() { p.acknowledged(m) }); err != nil {
			return // s has ended; Down follows
		}
	}
}

// take waits for the next message to send to s. It returns nil when s is no
// longer the destination.
func (p *Pipe) take(s *session.Session) *outgoing {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.dest != s {
			return nil
		}
		for p.next < p.queue.len() && p.queue.at(p.next).done {
			p.next++
		}
		if p.next < p.queue.len() && (p.queue.at(p.next).QoS == 0 || p.inflight < p.window) {
			break
		}
		p.changed.Wait()
	}
	m := p.queue.at(p.next)
	p.next++
	if m.sentTo != nil {
		p.meter.Resent()
	}
	m.sentTo = s
	if m.QoS == 0 {
		p.qos0 -= m.size()
	} else {
		p.inflight++
		p.meter.Held(p.queue.len(), p.inflight)
	}
	return m
}

// acknowledged notes that the destination has taken m over.
func (p *Pipe) acknowledged(m *outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.done {
		return
	}
	m.done = true
	if m.QoS > 0 && m.sentTo == p.dest {
		p.inflight--
	}
	p.meter.Forwarded(len(m.Payload), time.Since(m.received))
	p.release()
	p.changed.Broadcast()
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
			p.source.acknowledge(m.origin)
		}
	}
	p.meter.Held(p.queue.len(), p.inflight)
	if p.queue.len() == 0 {
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
