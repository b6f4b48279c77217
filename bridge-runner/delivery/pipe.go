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
// A pipe with a disk has two modes. In direct mode it acknowledges a message to the source
// when the destination has acknowledged it, and writes nothing. It starts to spool when the
// destination is lost, or when a message has been held for longer than a second: it appends
// all held messages to a log (package buffer), including the messages in flight, and from
// then on every message that arrives. Each message is acknowledged to its source when it is
// on disk. The messages that are read from the log are sent to the destination. When the
// whole log is read, the pipe returns to direct mode. So the messages on disk are always
// older than the messages that are only in memory, and the order survives any end of the
// process.
//
// The lock order is: [Pipe].mu, then the lock of a [session.State], the locks of the
// [Meter], or those that [Disk.OnStateChange] takes. A session calls the pipe without a lock
// held. [session.Session.Flush] may call [Pipe.Ready], so it is never called with Pipe.mu
// held. The locks of two pipes are never held at the same time. The log has no lock of its
// own: only the goroutine that runs [Pipe.RunSpool] uses it. Functions with the suffix
// Locked expect Pipe.mu to be held.
//
// The package knows sessions, but not how they are chosen.
package delivery

import (
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/watchdog"
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
	// Flush sends the acknowledgements that were written to the session of the source. The
	// pipe calls it when it has acknowledged messages outside of a call from a session.
	Flush func()
}

const defaultMemoryBytes = 8 << 20

// Meter counts the events of a pipe. Its methods are called with Pipe.mu held and must be
// quick.
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
	// Unrouted reports a message that was dropped because no rule matches its topic
	// (DropNoRule), or because a rule makes no valid topic of it (DropInvalidTopic).
	// filters lists the filters of the direction's rules. Dropped is called, too.
	Unrouted(topic, cause, filters string)
	// Resent counts messages that are sent again, on another session or another connection.
	Resent(messages int)
	// Redelivered counts a message that the source sent again while it was held.
	Redelivered()
	// SetHeld reports the number of messages held in memory, and how many of them are in flight.
	SetHeld(messages, inflight int)
	// DiskFailed counts an attempt to write or to read the disk that failed.
	DiskFailed()
}

// Pipe carries the messages of one direction. The lock order is in the package comment.
type Pipe struct {
	rules []manifest.Rule
	// ids are the subscription identifiers of the rules, in the order of rules.
	ids []uint32
	// filters lists the filters of the rules, for messages to users.
	filters string
	meter   Meter
	opts    Options
	// disk is nil if there is no disk. Its own comment says what guards its fields.
	disk *disk
	// reverse publishes dead letters on the source side. If it is nil, there are none.
	// SetReverse sets it before the first message.
	reverse *Pipe
	// spoolTask is the work of RunSpool, for the watchdog.
	spoolTask watchdog.Task

	// mu guards all fields below.
	mu sync.Mutex
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
	// clearedQoS0 is the number of QoS 0 messages in queue whose content was cleared.
	clearedQoS0 int
	evictor     evictor

	// dest is the session that messages are sent to; nil while no session is up.
	dest *session.Session
	// lastState belongs to the latest destination: the messages in flight are in flight in it.
	lastState *session.State
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

	// wakeAt is when timer calls onTimer. Zero if that is not planned.
	wakeAt time.Time
	timer  *time.Timer

	isolation isolation
	refusals  refusals
	// deadLetters are the dead letters that were not handed to reverse yet.
	deadLetters []deadLetter
}

// New returns a pipe. A pipe with a disk needs [Pipe.RunSpool].
func New(rules []manifest.Rule, meter Meter, opts Options) *Pipe {
	if opts.MemoryBytes == 0 {
		opts.MemoryBytes = defaultMemoryBytes
	}
	if opts.Flush == nil {
		opts.Flush = func() {}
	}
	p := &Pipe{rules: rules, ids: identifiers(rules), filters: filters(rules), meter: meter, opts: opts, pace: pace{rate: opts.Drain}}
	p.idle.L = &p.mu
	p.refusals.byMessage = map[*outgoing]*refusal{}
	if opts.Disk != nil {
		p.disk = newDisk(*opts.Disk)
	}
	return p
}

// origin is a message as it was received. It exists until it is acknowledged to its source.
type origin struct {
	// in is nil for a dead letter of the other direction.
	in *session.Inbound
	// onSettled is called when a dead letter of the other direction has settled.
	onSettled func()
	// bytes is the part of Pipe.unackedBytes that this message accounts for.
	bytes int
	// unsettled is the number of derived messages that have not settled.
	unsettled int
	// first is the first of the derived messages. It is here to save an allocation.
	first outgoing
}

// awaitsAck reports whether the source waits for the acknowledgement.
func (o *origin) awaitsAck() bool { return o.in == nil || o.in.QoS > 0 }

// outgoing is a message that the destination has not acknowledged.
type outgoing struct {
	session.Outgoing
	// origin is nil for a message that was read from the disk.
	origin *origin
	// seq gives the order of the messages in the queue.
	seq uint64
	// inflight says that the message was sent to the destination and is not acknowledged.
	inflight bool
	// sent says that the message was sent at least once, to any destination.
	sent bool
	// done says that nothing more is to be sent: the message was acknowledged or dropped.
	// It leaves the queue when all messages in front of it are done.
	done bool
	// awaitsDeadLetter says that a dead letter replaces the message. The message is done
	// when the dead letter has settled.
	awaitsDeadLetter bool
	// fromBacklog says that the message waited while there was no destination, or on disk.
	// Options.Drain applies to it.
	fromBacklog bool
	// settled says that the message no longer depends on its source. The settled messages in
	// the queue are counted in disk.queuedFromDisk.
	settled bool

	// The fields below are used only by a pipe with a disk.

	// spooling says that the message was in the queue when spooling started, and is still in
	// disk.pending. It is one of disk.alsoQueued.
	spooling bool
	// bypass says that the message is sent before the backlog of a log that was opened late.
	bypass bool
	// dequeued says that the message has left the queue.
	dequeued bool
	// recordNumber is the number of its record in the log; 0 if it has none.
	recordNumber uint64
	// recordSize is the size of its record on disk, in bytes.
	recordSize int64
}

// Receive takes a message in. While the pipe is stopping, QoS 1 and 2 messages are left
// unacknowledged, so that the source keeps them.
func (p *Pipe) Receive(in *session.Inbound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.QoS > 0 && p.stopping {
		return
	}
	if p.disk != nil && p.dest == nil {
		p.startSpoolingLocked()
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
		p.discardLocked(o, cause)
		return
	}
	cause, invalid := DropNoRule, false
	for i := range p.rules {
		r := &p.rules[i]
		if !sentFor(o.in, p.ids[i]) || !r.Filter.Match(o.in.Topic) {
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
		m := &o.first
		if o.unsettled > 0 {
			m = &outgoing{}
		}
		m.origin, m.ReceivedAt, m.Owner = o, o.in.ReceivedAt, m
		m.Message = session.Message{
			Topic:      topic,
			Payload:    o.in.Payload,
			QoS:        min(o.in.QoS, r.QoS),
			Retain:     retain(r.Retain, o.in.Retain),
			Properties: properties(r, o.in.Properties),
		}
		if m.QoS == 0 && !o.awaitsAck() {
			if cause = p.qos0DropCauseLocked(m); cause != "" {
				continue
			}
		}
		p.pushLocked(m)
		if m.QoS == 0 {
			p.qos0Bytes += m.size()
		}
	}
	if invalid {
		cause = DropInvalidTopic
	}
	switch {
	case o.unsettled == 0:
		p.discardLocked(o, cause)
	case invalid: // other rules forward it
		p.meter.Dropped(cause)
		p.meter.Unrouted(o.in.Topic, cause, p.filters)
	}
}

// pushLocked takes in a message that was derived from an inbound message: into pending if
// the pipe spools, otherwise into the queue.
func (p *Pipe) pushLocked(m *outgoing) {
	m.origin.unsettled++
	m.fromBacklog = p.dest == nil
	if p.disk != nil && p.disk.spooling {
		p.disk.pending.push(m)
		p.disk.wakeUp()
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
	case p.dest == nil && !p.isSpoolingLocked() && p.evictLocked(m.size()):
	default:
		return DropQueueFull
	}
	return ""
}

// isSpoolingLocked reports whether messages that arrive are written to the disk.
func (p *Pipe) isSpoolingLocked() bool { return p.disk != nil && p.disk.spooling }

// size returns roughly the memory that m needs, in bytes.
func (m *outgoing) size() int {
	return len(m.Payload) + len(m.Topic) + m.Properties.Size() + messageOverhead
}
