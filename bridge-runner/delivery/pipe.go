// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package delivery carries messages from the sessions of one side to the sessions
// of the other.
//
// It promises, for each direction:
//   - Nothing acknowledged is lost. A QoS 1 or 2 message is acknowledged to the
//     session by which it came only after the other side has acknowledged every
//     message made of it, or they are on disk. Until then the server that it came
//     from holds it, so a runner may die at any instant.
//   - Order is kept. What a lost session had not acknowledged is sent again to the
//     next one, oldest first, before anything newer; or goes on in that session,
//     where the same server resumes it.
//   - Nothing blocks, so that the two directions cannot block each other. The messages
//     that are held in memory are bounded by [Options.MemoryBytes]: QoS 0 messages above
//     it are dropped and counted, QoS 1 and 2 messages stay with the source, which sends
//     them again when there is room.
//   - No message stops the others. A message at which every server ends the session, or
//     that every server refuses, is isolated, counted, reported, and given up as
//     [Options.Unforwardable] says.
//   - QoS 0 messages are dropped, and counted, while no session is up, unless
//     [Options.BufferQoS0] says otherwise.
//
// With a disk it has two modes. Directly, acknowledgements are chained and nothing is
// written. When the destination is lost, or a message is held for longer than a second,
// all that is held is appended to a log (package buffer), also what is in flight, and so
// is from then on all that comes; each is acknowledged to its source when it is on the
// disk. The log feeds the destination until all of it is read; what comes then goes
// directly again. So what is on disk is always older than what is only in memory, and
// whatever ends the process keeps the order.
//
// It knows sessions, but not how they are chosen.
package delivery

import (
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/watchdog"
)

// Why a message was dropped.
const (
	DropNotConnected  = "not_connected" // QoS 0 while no session is up
	DropQueueFull     = "queue_full"    // QoS 0 faster than the destination, or the disk, takes it
	DropBufferFull    = "buffer_full"   // the buffer is full, and the oldest or the newest go
	DropDamaged       = "damaged"       // it cannot be read from the disk
	DropExcluded      = "excluded"      // by the rules' exclude
	DropNoRule        = "no_rule"       // matches no rule: see [Meter.Unrouted]
	DropInvalidTopic  = "invalid_topic" // it came without a valid topic, or the rule makes no valid topic of it
	DropStopping      = "stopping"      // QoS 0 while the runner drains
	DropTooLarge      = "too_large"     // its packet exceeds maximumPacketSize of the source's side, or the destination's maximum
	DropExpired       = "expired"       // its message expiry interval, or its time on disk, has passed
	DropRefused       = "refused"       // the destination refuses it by a reason code
	DropUnforwardable = "unforwardable" // every destination ends the session at it
	DropTooManyHops   = "too_many_hops" // it has gone over as many bridges as maxHops allows
	DropMalformed     = "malformed"     // its payload cannot be found in the packet that it came in
)

// Options are what a pipe may have besides rules.
type Options struct {
	// MemoryBytes bounds the QoS 0 messages that wait in memory, and also the QoS 1 and 2
	// messages that are held in it. Default 8 MiB.
	MemoryBytes int
	// Unforwardable says what happens to messages that no server of the destination takes.
	Unforwardable Unforwardable
	// BufferQoS0 keeps QoS 0 messages while no session is up: on disk, else the newest
	// in memory.
	BufferQoS0 bool
	// Disk keeps a backlog on disk. Nil: there is none.
	Disk *Disk
	// Drain limits how fast a backlog goes out.
	Drain Rate
	// Flush sends what was acknowledged to the source, where that was not done by a
	// call of its session's or the destination's.
	Flush func()
}

const defaultMemoryBytes = 8 << 20

// Meter counts what a pipe does. Its methods are called with a lock held and must
// be quick.
type Meter interface {
	// Forwarded: a message of that many payload bytes was acknowledged by the
	// destination, or at QoS 0 written, so long after it was received.
	Forwarded(bytes int, latency time.Duration)
	// Dropped: a message was dropped for one of the causes above.
	Dropped(cause string)
	// GivenUp: no server of the destination takes a message. A message that is kept is
	// reported after each attempt to send it.
	GivenUp(m GivenUp)
	// Unblocked: the message that was kept has left.
	Unblocked()
	// Unrouted: a message with this topic was dropped because no rule takes it
	// (DropNoRule), or because a rule makes no valid topic of its topic
	// (DropInvalidTopic). filters are those of the direction's rules. It is called
	// besides Dropped.
	Unrouted(topic, cause, filters string)
	// Resent: so many messages are sent again, to another session or by another
	// connection.
	Resent(messages int)
	// Redelivered: the source sent a message again that was held here.
	Redelivered()
	// Held: so many messages are held in memory, so many of them in flight.
	Held(messages, inflight int)
	// DiskFailed: the disk could not be written or read.
	DiskFailed()
}

// Pipe carries the messages of one direction.
type Pipe struct {
	rules   []config.Rule
	ids     []uint32 // the rules' subscription identifiers
	filters string   // the rules' filters, for messages
	meter   Meter
	opts    Options
	disk    *disk // nil: there is none

	mu        sync.Mutex
	idle      sync.Cond // nothing is held, or in flight, or the destination is lost
	queue     queue     // not acknowledged by the destination, in order
	since     time.Time // when dest came
	place     uint64    // of the last message that was queued
	next      int       // place in queue of the first that may not be sent
	inflight  int       // sent and not acknowledged
	qos0      int       // bytes of QoS 0 messages not sent
	kept      kept      // QoS 0 in memory while there is no destination
	pace      pace      // of the backlog
	pacedTill time.Time // before which the backlog does not go on
	dest      *session.Session
	last      *session.State // of the latest destination: what is in flight is in flight there
	stopping  bool
	paused    bool // nothing more is sent to dest

	bytes       int       // of QoS 1 and 2 messages that their sources wait for
	full        full      // the messages that were refused for lack of memory
	clearedQoS0 int       // QoS 0 messages in queue that were cleared
	alarm       time.Time // when the queue is looked at again; zero: not by time
	timer       *time.Timer
	isolation   isolation
	refusals    refusals
	keeper      watchdog.Task // Keep
	reverse     *Pipe         // to the source side
	letters     []letter      // not handed to reverse
}

// New returns a pipe. One with a disk needs [Pipe.Keep].
func New(rules []config.Rule, meter Meter, opts Options) *Pipe {
	if opts.MemoryBytes == 0 {
		opts.MemoryBytes = defaultMemoryBytes
	}
	if opts.Flush == nil {
		opts.Flush = func() {}
	}
	p := &Pipe{rules: rules, ids: identifiers(rules), filters: filters(rules), meter: meter, opts: opts, pace: pace{rate: opts.Drain}}
	p.idle.L = &p.mu
	p.refusals.of = map[*outgoing]*refusal{}
	if opts.Disk != nil {
		p.disk = newDisk(*opts.Disk)
	}
	return p
}

// origin is a message as it came, until it is acknowledged to its source.
type origin struct {
	in     *session.Inbound // nil: a dead letter of the other direction
	done   func()           // called when a dead letter needs its source no more
	bytes  int              // that it is counted with in Pipe.bytes
	queued int              // how many messages made of it are in the queue
	only   outgoing         // the first of them, so that one allocation serves both
}

// waits reports whether the source waits for the acknowledgement.
func (o *origin) waits() bool { return o.in == nil || o.in.QoS > 0 }

// outgoing is a message that the destination has not acknowledged.
type outgoing struct {
	session.Outgoing
	origin   *origin
	inflight bool   // the destination has it
	sent     bool   // once, to whatever destination
	done     bool   // acknowledged, but one before it is not
	parked   bool   // it goes to the dead letter topic, and is done when it is there
	backlog  bool   // it waited while there was no destination
	place    uint64 // in the order of the queue

	// Of a pipe with a disk.
	settled bool   // on disk: its source waits for it no more
	copied  bool   // in the queue, and to be written, too
	ahead   bool   // directly on its way before the log could be opened
	popped  bool   // not in the queue any more
	number  uint64 // of its record
	stored  int64  // what that takes of the disk
}

// Receive takes a message in. Where the pipe is stopping, QoS 1 and 2 messages are
// left unacknowledged: the source keeps them.
func (p *Pipe) Receive(in *session.Inbound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.QoS > 0 && p.stopping {
		return
	}
	if p.disk != nil && p.dest == nil {
		p.enter()
	}
	o := &origin{in: in}
	if in.QoS > 0 {
		if !p.takeInLocked(o) {
			return
		}
	}
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
	if cause := undeliverable(o.in.Faults); cause != "" {
		p.discard(o, cause)
		return
	}
	cause, invalid := DropNoRule, false
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
			invalid = true
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
		if m.QoS == 0 && !o.waits() {
			if cause = p.refuseQoS0(m); cause != "" {
				continue
			}
		}
		p.push(m)
		if m.QoS == 0 {
			p.qos0 += m.size()
		}
	}
	if invalid {
		cause = DropInvalidTopic
	}
	switch {
	case o.queued == 0:
		p.discard(o, cause)
	case invalid: // it goes over by other rules
		p.meter.Dropped(cause)
		p.meter.Unrouted(o.in.Topic, cause, p.filters)
	}
}

func (p *Pipe) push(m *outgoing) {
	m.origin.queued++
	m.backlog = p.dest == nil
	if p.disk != nil && p.disk.buffering {
		p.disk.pending.push(m)
		p.disk.wakeUp()
		return
	}
	p.enqueue(m)
}

// enqueue puts m behind the messages of the queue.
func (p *Pipe) enqueue(m *outgoing) {
	p.place++
	m.place = p.place
	p.queue.push(m)
}

// refuseQoS0 says why a QoS 0 message cannot be taken, if it cannot.
func (p *Pipe) refuseQoS0(m *outgoing) string {
	switch {
	case p.stopping:
		return DropStopping
	case p.dest == nil && !p.opts.BufferQoS0:
		return DropNotConnected
	case p.qos0 == 0, m.origin.queued > 0: // one always passes, for all rules
	case p.qos0+m.size() <= p.opts.MemoryBytes:
	case p.dest == nil && !p.buffering() && p.makeRoom(m.size()):
	default:
		return DropQueueFull
	}
	return ""
}

// buffering reports whether what comes goes to the disk.
func (p *Pipe) buffering() bool { return p.disk != nil && p.disk.buffering }

// size is roughly what a message takes in memory, in bytes.
func (m *outgoing) size() int {
	return len(m.Payload) + len(m.Topic) + m.Properties.Size() + messageOverhead
}
