// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"

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
	// payloadShared says that not only first has the payload of in: other derived messages or a
	// dead letter have it, too. It stays set.
	payloadShared bool
	// first is the first of the derived messages. It is here to save an allocation.
	first outgoing
}

// awaitsAck reports whether the source waits for the acknowledgement.
func (o *origin) awaitsAck() bool { return o.in == nil || o.in.QoS > 0 }

// outgoing is a message to the destination. Two states describe it, which change
// independently of each other: progress is its way to the destination, and custody is the
// place that keeps it if the process ends. Pipe.mu guards both.
type outgoing struct {
	session.Outgoing
	// origin is nil for a message that was read from the disk.
	origin *origin
	// seq gives the order of the messages in the queue. It increases from the front to the back.
	seq uint64

	progress progress
	custody  custody

	// The next two fields are history and not state: nothing but a metric and the drain rate
	// depends on them.

	// sent says that the message was sent at least once, to any destination.
	sent bool
	// fromBacklog says that the message waited while there was no destination, or on disk.
	// Options.Drain applies to it.
	fromBacklog bool

	// recordNumber is the number of its record in the log. It is 0 if the message has no
	// record, and greater than 0 if custody is onDisk.
	recordNumber uint64
	// recordSize is the size of its record on disk, in bytes.
	recordSize int64
}

// progress is how far a message is on its way to the destination.
//
//	queued ◄──────► inFlight
//	  │ └───────┐       │
//	  │         ▼       │
//	  │  awaitingDeadLetter
//	  ▼         ▼       │
//	 done ◄─────────────┘
type progress uint8

const (
	// queued: the message is to be sent. It is in the queue, in pending or in both. It may
	// have been sent before, and may even be in flight in the session of a destination that
	// was lost: [Pipe.Up] then continues its exchange if that server resumes the session.
	queued progress = iota
	// inFlight: the message was sent to the present destination, which has not acknowledged
	// it. The message is in the queue. Pipe.inflight is the number of these messages; there
	// are none while there is no destination.
	inFlight
	// awaitingDeadLetter: a dead letter replaces the message, which is not sent any more. The
	// message is in the queue until the dead letter has settled.
	awaitingDeadLetter
	// done: the destination has acknowledged the message (at QoS 0: it was written), or the
	// message was dropped. It leaves the queue when all messages in front of it are done.
	// Its content may be cleared. A message never leaves this state.
	done
)

// custody is the place that keeps a message if the process ends now. Without a disk it is
// always atSource. In a pipe with a disk:
//
//	atSource ◄───► spooling
//	   │  │          │   │
//	   │  └──► onDisk ◄──┘
//	   └───► unneeded ◄──┘
//
// The last two states mean that the message has settled: see [outgoing.settled].
type custody uint8

const (
	// atSource: the source keeps a message of QoS 1 or 2, because it is not acknowledged.
	// Nothing keeps a message that was received at QoS 0. The message is either in the queue
	// or in pending, and counts in origin.unsettled.
	atSource custody = iota
	// spooling: as atSource, but the message is in the queue and in pending: it was in the
	// queue when spooling started. It is one of the first spool.alsoQueued messages of
	// pending, which are in the order of the queue. Its content is not cleared, because the
	// spool may be reading it.
	spooling
	// onDisk: the message has a record, which stays in the log until the message leaves the
	// queue. The message is in the queue, or is not in memory otherwise.
	onDisk
	// unneeded: the message is not needed any more. It is done and has no record. It may
	// still be in the queue, behind a message that is not done, or in pending, if it has
	// left the queue while it was spooling.
	unneeded
)

// settled reports whether m no longer depends on its source. The messages of the queue that
// have settled are counted in spool.queuedFromDisk.
func (m *outgoing) settled() bool { return m.custody >= onDisk }

// waitsInMemory reports whether m is a QoS 0 message that waits in memory.
func (m *outgoing) waitsInMemory() bool {
	return m.QoS == 0 && m.progress == queued && !m.settled()
}

// size returns roughly the memory that m needs, in bytes.
func (m *outgoing) size() int {
	return len(m.Payload) + len(m.Topic) + m.Properties.Size() + messageOverhead
}

// enterFlightLocked records that m, which was queued, was sent to the destination.
func (p *Pipe) enterFlightLocked(m *outgoing) {
	m.progress = inFlight
	p.inflight++
}

// leaveFlightLocked makes m queued if it is in flight.
func (p *Pipe) leaveFlightLocked(m *outgoing) {
	if m.progress == inFlight {
		m.progress = queued
		p.inflight--
	}
}

// replaceByDeadLetterLocked records that m, which is not done, is not sent any more.
func (p *Pipe) replaceByDeadLetterLocked(m *outgoing) {
	p.leaveFlightLocked(m)
	m.progress = awaitingDeadLetter
}

// finishLocked records that nothing more is to be sent for m.
func (p *Pipe) finishLocked(m *outgoing) {
	p.leaveFlightLocked(m)
	m.progress = done
	p.clearContentLocked(m)
}

// settleLocked records that m, which has not settled, no longer depends on its source: it
// has a record, or it is done. The inbound message is acknowledged once every message
// derived from it has settled.
func (p *Pipe) settleLocked(m *outgoing) {
	before := m.custody
	m.custody = unneeded
	if m.recordNumber > 0 {
		m.custody = onDisk
	}
	o := m.origin
	if o == clearedOrigin {
		return
	}
	o.unsettled--
	if o.unsettled > 0 {
		return
	}
	p.unackedBytes -= o.bytes
	if o.in == nil {
		go o.onSettled() // it takes the lock of the other direction's pipe
		return
	}
	o.in.Ack()
	if before == atSource && m.custody == unneeded {
		p.releasePayloadLocked(m, o)
	}
}
