// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package delivery carries messages from the sessions of one side to the sessions of the
// other side.
//
// It promises, for each direction:
//   - No acknowledged message is lost. A QoS 1 or 2 message is acknowledged to its source
//     only after the destination has acknowledged every message derived from it, or after
//     these messages are on disk. Until then the source server keeps it, so the runner may
//     be killed at any time.
//   - Order is kept. The messages that a lost session had not acknowledged are sent to the
//     next session, oldest first, before any newer message. If the same server resumes the
//     session, they continue in it.
//   - Nothing blocks, so the two directions cannot block each other. [Options.MemoryBytes]
//     bounds the messages in memory: QoS 0 messages above it are dropped and counted; QoS 1
//     and 2 messages above it stay with the source, which sends them again when there is
//     room.
//   - No message stops the others. A message at which every server ends the session, or
//     that every server refuses, is isolated, counted and reported, and
//     [Options.Unforwardable] says what happens to it.
//   - QoS 0 messages are dropped and counted while no session is up, unless
//     [Options.BufferQoS0] is set.
//
// A pipe with a disk has two modes, and two more at its start (see mode.go). In direct mode
// the pipe acknowledges a message to the source when the destination has acknowledged it,
// and writes nothing. It starts to spool when the destination is lost, or when a message
// has been held for longer than a second: it appends all held messages to a log (package
// buffer), including the messages in flight, and from then on every message that arrives.
// Each message is acknowledged to its source when it is on disk. The messages that are read
// from the log are sent to the destination. When the whole log is read, the pipe returns to
// direct mode. So the messages on disk are always older than the messages that are only in
// memory, and the order survives any end of the process.
//
// A message goes through pipe.go, which routes it, and then through send.go, which sends it
// and acknowledges it to its source. With a disk it may go through the spool in between:
// write.go, then readahead.go. update.go replaces the rules and the options while messages flow.
// trace.go has the spans of sampled messages.
//
// The lock order is: [Pipe].mu, then the lock of a [session.State], the locks of the
// [Meter], or those that [Disk.OnStateChange] takes. A session calls the pipe without a lock
// held. [Options.Flush] may call [Pipe.Ready], so it is never called with Pipe.mu held. The
// locks of two pipes are never held at the same time. The log has no lock of its
// own: only the goroutine that runs [Pipe.RunSpool] uses it. Functions with the suffix
// Locked expect Pipe.mu to be held.
//
// The package knows sessions, but not how they are chosen.
package delivery

import (
	"strconv"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// The causes for which a message is dropped.
const (
	DropNotConnected  = "not_connected" // a QoS 0 message while no session is up
	DropQueueFull     = "queue_full"    // QoS 0 messages arrive faster than the destination, or the disk, accepts them
	DropBufferFull    = "buffer_full"   // the buffer is full; the oldest or the newest messages are dropped
	DropDamaged       = "damaged"       // the record on disk is damaged
	DropExcluded      = "excluded"      // the rules exclude the topic
	DropNoRule        = "no_rule"       // no rule matches: see [Meter.Unrouted]
	DropInvalidTopic  = "invalid_topic" // the message has no valid topic, or the rule makes no valid topic of it
	DropStopping      = "stopping"      // a QoS 0 message while the runner drains
	DropTooLarge      = "too_large"     // the packet exceeds maximumPacketSize of the source's side, or the destination's maximum
	DropExpired       = "expired"       // the message expiry interval, or the time allowed on disk, has passed
	DropRefused       = "refused"       // the destination refuses the message by a reason code
	DropUnforwardable = "unforwardable" // every destination ends the session at the message
	DropTooManyHops   = "too_many_hops" // the message has passed as many bridges as maxHops allows
	DropMalformed     = "malformed"     // the payload cannot be found in the packet
)

// DropCauses are all causes for which a message is dropped.
var DropCauses = []string{
	DropNotConnected, DropQueueFull, DropBufferFull, DropDamaged, DropExcluded, DropNoRule, DropInvalidTopic, DropStopping,
	DropTooLarge, DropExpired, DropRefused, DropUnforwardable, DropTooManyHops, DropMalformed,
}

// Options are the settings of a pipe besides its rules.
type Options struct {
	// MemoryBytes bounds the QoS 0 messages that wait in memory, and separately the QoS 1
	// and 2 messages that are held in memory. In bytes; the default is 8 MiB.
	MemoryBytes int
	// Unforwardable says what happens to messages that no server of the destination accepts.
	Unforwardable Unforwardable
	// BufferQoS0 keeps QoS 0 messages while no session is up: on disk if there is one,
	// otherwise the newest messages in memory.
	BufferQoS0 bool
	// Disk configures the backlog on disk. If it is nil, there is no disk.
	Disk *Disk
	// Drain limits how fast a backlog is sent.
	Drain DrainRate
	// Flush sends the packets that were written to the sessions of both sides and not sent.
	// The pipe calls it at the end of each operation that no session has called.
	Flush func()
	// Tracer starts the spans of messages. If it is nil, no message has a span.
	Tracer Tracer
}

const defaultMemoryBytes = 8 << 20

// withDefaults returns the options with their defaults.
func (o Options) withDefaults() Options {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultMemoryBytes
	}
	if o.Flush == nil {
		o.Flush = func() {}
	}
	return o
}

// Meter counts the events of a pipe. Its methods are called with Pipe.mu held, except Replaced,
// and must be quick.
type Meter interface {
	// Forwarded counts a message that the destination has acknowledged or, at QoS 0, that
	// was written. bytes is the size of the payload; latency is the time since the message
	// was received.
	Forwarded(bytes int, latency time.Duration)
	// Dropped counts a message that was dropped for one of the causes above.
	Dropped(cause string)
	// Unforwardable reports a message that no server of the destination accepts. A message that
	// is kept is reported after each attempt to send it.
	Unforwardable(m UnforwardableMessage)
	// Unblocked reports that the message that was kept no longer blocks the direction.
	Unblocked()
	// Matched counts a message that the filter of a rule matched. rule is the rule's index in
	// the rules of the pipe. cause is empty if the rule passed the message on, otherwise the
	// cause for which it did not.
	Matched(rule int, cause string)
	// Unrouted reports a message that was dropped because no rule matches its topic
	// (DropNoRule), or because a rule makes no valid topic of it (DropInvalidTopic). rules
	// lists the filters of all rules, or names the rule. Dropped is called, too. A message for a
	// filter that the latest [Pipe.Update] has removed is not reported: the source sends such
	// messages until it has removed the subscription.
	Unrouted(topic, cause, rules string)
	// Resent counts messages that are sent again, on another session or another connection.
	Resent(messages int)
	// Redelivered counts a message that the source sent again while it was held.
	Redelivered()
	// SetHeld reports the number of messages held in memory, and how many of them are in flight.
	SetHeld(messages, inflight int)
	// DiskFailed counts an attempt to write or to read the disk that failed.
	DiskFailed()
	// Replaced reports that the pipe has another meter since [Pipe.Update], and calls no other
	// method of this meter any more.
	Replaced()
}

// Pipe carries the messages of one direction. The lock order is in the package comment.
type Pipe struct {
	// flush is Options.Flush.
	flush func()
	// spool is nil if there is no disk. Its own comments say what guards its fields.
	spool *spool
	// reverse publishes dead letters on the source side. If it is nil, there are none.
	// SetReverse sets it before the first message.
	reverse *Pipe

	// mu guards all fields below.
	mu sync.Mutex
	// routes, meter and opts are replaced in Update only.
	routes routes
	meter  Meter
	opts   Options
	// idle is signalled when a condition that Drain or Pause waits for may have changed.
	idle sync.Cond
	// queue holds the messages that the destination has not acknowledged, in order, and
	// the done messages between them.
	queue queue
	// next is the index in queue of the first message that pumpLocked considers.
	next int
	// lastSeq is the sequence number of the newest message of the queue.
	lastSeq uint64
	// inflight is the number of messages that were sent to dest and are not acknowledged.
	inflight int
	// qos0Bytes is the size of the QoS 0 messages that wait in memory to be sent or written.
	qos0Bytes int
	// clearedQoS0 is the number of QoS 0 messages whose content was cleared since queue was
	// last compacted. Some of them may have left queue.
	clearedQoS0 int
	evictor     evictor

	// received is the number of messages that have arrived.
	received uint64

	// dest is the session that messages are sent to; nil while no session is up.
	dest *session.Session
	// lastState belongs to the latest destination: the messages in flight are in flight in it.
	lastState *session.State
	// leftStates belong to the destinations before that whose servers may still hold QoS 2 messages, each once.
	leftStates []*session.State
	// destSince is when dest became the destination.
	destSince time.Time
	// stopping is set by Drain. QoS 1 and 2 messages that arrive are left unacknowledged.
	stopping bool
	// paused is set by Pause. Nothing more is sent to dest.
	paused bool

	pace pace // limits the drain of the backlog
	// pacedUntil is the time before which no message of the backlog is sent.
	pacedUntil time.Time

	// unackedBytes is the size of the QoS 1 and 2 messages whose sources wait for the
	// acknowledgement.
	unackedBytes int
	leftAtSource leftAtSource
	// droppedOf is the session of the latest message that was dropped for lack of memory. It is nil if there is none.
	droppedOf *session.Session

	// wakeAt is when timer calls onTimer. Zero if that is not planned.
	wakeAt time.Time
	timer  *time.Timer

	isolation isolation
	refusals  refusals
	// deadLetters are the dead letters that were not handed to reverse yet.
	deadLetters []deadLetter

	// spans are the spans of the sampled messages, which are in the queue or in pending and not
	// done. It is nil before the first one.
	spans map[*outgoing]Span
}

// New returns a pipe. A pipe with a disk needs [Pipe.RunSpool].
func New(rules []manifest.Rule, meter Meter, opts Options) *Pipe {
	opts = opts.withDefaults()
	p := &Pipe{flush: opts.Flush, routes: newRoutes(rules), meter: meter, opts: opts, pace: pace{rate: opts.Drain}}
	p.idle.L = &p.mu
	p.refusals.byMessage = map[*outgoing]*refusal{}
	if opts.Disk != nil {
		p.spool = newSpool(p, *opts.Disk)
	}
	return p
}

// unlockAndFlush releases Pipe.mu and sends the packets that were written meanwhile. All
// operations end by it that may write packets, except Receive, Acknowledged, Redelivered
// and Ready: sessions call these, and the session's reader sends all packets when it has
// handled the packets that it has read.
func (p *Pipe) unlockAndFlush() {
	p.mu.Unlock()
	p.flush()
}

// unlockAndFlushIf is unlockAndFlush if wrote is set. Otherwise it does not flush: that would
// split the data that a reader is about to send at once.
func (p *Pipe) unlockAndFlushIf(wrote bool) {
	if wrote {
		p.unlockAndFlush()
		return
	}
	p.mu.Unlock()
}

// Receive takes a message in. While the pipe is stopping, QoS 1 and 2 messages are left
// unacknowledged, so that the source keeps them.
func (p *Pipe) Receive(in *session.Inbound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received++
	if in.QoS > 0 && p.stopping {
		return
	}
	if p.dest == nil {
		p.spool.needLocked()
	}
	o := &origin{in: in}
	if in.QoS > 0 {
		if !p.admitLocked(o) {
			return
		}
	}
	p.routeLocked(o)
	p.pumpLocked()
	p.dequeueDoneLocked()
}

// Redelivered counts a message that the source sent again while it was held.
func (p *Pipe) Redelivered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter.Redelivered()
}

// routeLocked queues the messages that the rules derive from an inbound message.
func (p *Pipe) routeLocked(o *origin) {
	if cause := undeliverable(o.in.Faults); cause != "" {
		p.discardLocked(o, cause, "")
		return
	}
	cause, invalid := DropNoRule, noRule
	p.routes.beginMessage(o.in)
	for i := range p.routes.rules {
		r := &p.routes.rules[i]
		if !p.routes.sentFor(o.in, i) || !r.Filter.Match(o.in.Topic) {
			continue
		}
		topic, why := applyRule(r, o.in)
		if why != "" {
			if cause = why; why == DropInvalidTopic {
				invalid = i
			}
			p.meter.Matched(i, why)
			continue
		}
		m := &o.first
		if o.unsettled > 0 {
			m, o.payloadShared = &outgoing{}, true
		}
		m.origin, m.ReceivedAt, m.Owner = o, o.in.ReceivedAt, m
		m.Message = derive(r, o.in, topic)
		if p.opts.Tracer != nil {
			p.startSpanLocked(m, r, o.in)
		}
		if m.QoS == 0 && !o.awaitsAck() {
			if cause = p.qos0DropCauseLocked(m); cause != "" {
				p.endSpanLocked(m, Outcome{Result: ResultDropped, Cause: cause})
				p.meter.Matched(i, cause)
				continue
			}
		}
		p.meter.Matched(i, "")
		p.pushLocked(m)
		if m.QoS == 0 {
			p.qos0Bytes += m.size()
		}
	}
	rules := p.routes.filters
	if invalid != noRule {
		cause, rules = DropInvalidTopic, strconv.Quote(p.routes.rules[invalid].Name)
	}
	switch {
	case o.unsettled == 0:
		p.discardLocked(o, cause, rules)
	case invalid != noRule: // other rules forward it
		p.meter.Dropped(cause)
		p.meter.Unrouted(o.in.Topic, cause, rules)
	}
}

// noRule is the index of no rule.
const noRule = -1

// pushLocked takes in a message that was derived from an inbound message: into pending if
// the pipe spools, otherwise into the queue.
func (p *Pipe) pushLocked(m *outgoing) {
	m.origin.unsettled++
	m.fromBacklog = p.dest == nil
	if p.spool.takesArrivalsLocked() {
		p.spool.pushLocked(m)
		return
	}
	p.enqueueLocked(m)
}

// enqueueLocked appends m to the queue.
func (p *Pipe) enqueueLocked(m *outgoing) {
	p.lastSeq++
	m.seq = p.lastSeq
	p.queue.push(m)
}

// qos0DropCauseLocked returns the cause for which a QoS 0 message has to be dropped, or
// "" if it can be forwarded.
func (p *Pipe) qos0DropCauseLocked(m *outgoing) string {
	switch {
	case p.stopping:
		return DropStopping
	case p.dest == nil && !p.opts.BufferQoS0:
		return DropNotConnected
	case p.qos0Bytes == 0, m.origin.unsettled > 0: // one message always passes, for all rules
	case p.qos0Bytes+m.size() <= p.opts.MemoryBytes:
	case p.dest == nil && !p.spool.takesArrivalsLocked() && p.evictLocked(m.size()):
	default:
		return DropQueueFull
	}
	return ""
}
