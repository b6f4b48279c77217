// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/watchdog"
)

// Disk says where and how a pipe keeps a backlog on disk.
type Disk struct {
	// Dir is the directory of the log. Nothing else uses it.
	Dir string
	// Bytes is the largest size of the log on disk.
	Bytes int64
	// WhenFull says what happens when the log has that size.
	WhenFull v1alpha1.WhenFull
	// TTL is how long a message may wait. 0 means without limit.
	TTL time.Duration
	// OnStateChange is called at each change of the state, with Pipe.mu held, so it must be
	// quick. message describes the problem; it is empty if there is none.
	OnStateChange func(state v1alpha1.BacklogState, message string)

	// deferAfterInTest replaces deferAfter in tests, if it is not 0.
	deferAfterInTest time.Duration
}

const (
	// slowAfter is how long a message may be held before the destination is treated as slow
	// and the held messages are written to the disk.
	slowAfter = time.Second
	// checkInterval is the time between two checks for slow destinations, failed and full
	// disks, and expired messages.
	checkInterval = 200 * time.Millisecond
	// retryAfter is how long a failed disk is not used. The time doubles up to retryMax while
	// nothing can be written.
	retryAfter = 5 * time.Second
	retryMax   = time.Minute
	// fullFor is how long a buffer is reported as full after it was last found full. A
	// buffer at its limit is full and not full in quick succession.
	fullFor = 3 * time.Second
	// emptyAfter is how long a buffer must be empty before it is reported as empty, so that
	// a buffer that is often empty for a moment does not change the bridge's status all the
	// time.
	emptyAfter = time.Second
	// batchMessages and batchBytes bound the messages that are written at once.
	batchMessages = 4096
	batchBytes    = 1 << 20
	// readAheadMessages and readAheadBytes bound the messages that were read from the log
	// and are not acknowledged.
	readAheadMessages = 1024
	readAheadBytes    = 4 << 20
	// maxQueuedFromDisk bounds these messages together with the messages that are delivered
	// and wait for the messages in front of them.
	maxQueuedFromDisk = 64 * readAheadMessages
	// releaseMessages is the number of released records after which the spool is woken to
	// release them in the log. It does so at each check, too. Records that are not released
	// in the log are sent again after a crash.
	releaseMessages = 64
)

// spool is the part of a pipe that writes messages to the buffer on disk and reads them back.
type spool struct {
	Disk
	pipe *Pipe
	// wake has room for one element, which wakes the goroutine of run.
	wake chan struct{}
	// task is the work of run, for the watchdog.
	task watchdog.Task

	// Only the goroutine of run uses the next three fields.

	// log is nil until it is opened. It is nil in modeOpening, and may be in modeDirect and
	// modeSpooling if opening has failed.
	log *buffer.Log
	// scratch is reused for the records of each batch.
	scratch []byte
	unread  unread

	// Pipe.mu guards all fields below.

	// mode is changed by handleLocked only.
	mode mode

	// Messages to be written. There are none in modeDirect.

	// pending holds the messages that are to be written, in order.
	pending queue
	// alsoQueued is the number of messages at the front of pending that were in the queue,
	// too, when spooling started. It is 0 except in modeSpooling.
	alsoQueued int
	// writing says that the first messages of pending are being written, or that deferred
	// records are being restored. It is false except in modeSpooling.
	writing bool
	// maxBatch is the maximum number of messages written at once. It halves when the log has
	// no room for a batch, and is batchMessages again after a successful write.
	maxBatch int

	// Records, in all modes.

	// allRead says that all records of the log have been read. It is false in modeOpening,
	// and true in modeDirect.
	allRead bool
	// queuedFromDisk is the number of messages in the queue that have settled, and
	// queuedFromDiskBytes the size of their records.
	queuedFromDisk      int
	queuedFromDiskBytes int64
	// released is the number of the last record that is released.
	released uint64
	// releasedBytes and releasedCount are the size and the number of the records that were
	// released since the log was last updated.
	releasedBytes int64
	releasedCount int

	// Problems, in all modes.

	// failure says why the disk is not written. It is empty while the disk is used.
	failure string
	// retryAt is the time at which a failed disk is tried again.
	retryAt time.Time
	// failures is the number of failures since the last successful write.
	failures int
	// unreadable describes records that cannot be read. It is empty if there are none.
	unreadable string
	// full says that the log was full recently. It is empty if there is room.
	full string
	// lastFullAt is when the log was last found full.
	lastFullAt time.Time
	// retryAppendAt is the time before which nothing is written to a full log.
	retryAppendAt time.Time
	// damage describes messages that were lost on the disk. It is not reset.
	damage string

	report report
}

func newSpool(p *Pipe, opts Disk) *spool {
	return &spool{Disk: opts, pipe: p, wake: make(chan struct{}, 1), maxBatch: batchMessages, report: report{state: v1alpha1.BacklogEmpty}}
}

// wakeUp wakes the goroutine of run. It does not block.
func (s *spool) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// expired reports whether m has waited longer than the TTL.
func (s *spool) expired(m *outgoing, now time.Time) bool {
	return s.TTL > 0 && now.Sub(m.ReceivedAt) >= s.TTL
}

// takesArrivalsLocked reports whether messages that arrive go to pending.
func (s *spool) takesArrivalsLocked() bool { return s != nil && s.mode != modeDirect }

// pushLocked appends a message that has arrived to pending.
func (s *spool) pushLocked(m *outgoing) {
	s.pending.push(m)
	s.wakeUp()
}

// needLocked starts to spool, if that is possible: all held messages, and all messages that
// arrive, are written to the disk.
func (s *spool) needLocked() {
	if s != nil && s.mode == modeDirect {
		s.handleLocked(eventNeeded)
	}
}

// checkLocked leaves a mode whose reason has gone. It reports whether messages that arrive
// go to the queue from now on.
func (s *spool) checkLocked() (stopped bool) {
	if s == nil {
		return false
	}
	before := s.mode
	for s.handleLocked(eventChecked) {
	}
	return s.mode == modeDirect && before != modeDirect
}

// handleLocked handles an event. It reports whether the mode has changed.
func (s *spool) handleLocked(e event) (changed bool) {
	before := s.mode
	next, work := before.next(e, s.factsLocked())
	s.mode = next
	switch work {
	case actCopy:
		s.copyLocked()
	case actWithdraw:
		s.withdrawLocked()
	case actMoveBehind:
		s.withdrawLocked()
		s.moveBehindLocked()
	case actTakeBack:
		s.withdrawLocked()
		s.takeBackLocked()
	case actNothing:
	}
	return next != before
}

func (s *spool) factsLocked() facts {
	return facts{
		connected:  s.pipe.dest != nil,
		stopping:   s.pipe.stopping,
		failed:     s.failure != "",
		unread:     !s.allRead,
		writing:    s.writing,
		alsoQueued: s.alsoQueued > 0,
		notOnDisk:  s.notOnDiskLocked() > 0,
		slow:       s.pipe.oldestIsOlderLocked(slowAfter / 2),
	}
}

// notOnDiskLocked returns the number of messages in the queue that have not settled.
func (s *spool) notOnDiskLocked() int { return s.pipe.queue.len() - s.queuedFromDisk }

// copyLocked puts the messages of the queue that are not on disk into pending, too. Messages
// in front of a message that is on disk await their dead letters, and stay with their
// source: to release a later record would release the records in front of it, too.
func (s *spool) copyLocked() {
	q := &s.pipe.queue
	first := q.len()
	for first > 0 && !q.at(first-1).settled() {
		first--
	}
	for i := first; i < q.len(); i++ {
		m := q.at(i)
		m.custody = spooling
		s.alsoQueued++
		s.pending.push(m)
	}
	s.wakeUp()
}

// withdrawLocked removes from pending the messages that were put there by copyLocked.
func (s *spool) withdrawLocked() {
	for ; s.alsoQueued > 0; s.alsoQueued-- {
		if m := s.pending.pop(); m.custody == spooling { // otherwise it has left the queue
			m.custody = atSource
		}
	}
}

// takeBackLocked moves the messages of pending to the queue.
func (s *spool) takeBackLocked() {
	s.full = ""
	for s.pending.len() > 0 {
		s.pipe.enqueueLocked(s.pending.pop())
	}
}

// moveBehindLocked moves the messages of the queue that are not on disk to the front of
// pending, so that they are written behind the backlog, which is older. It is called when
// there is no destination for them.
func (s *spool) moveBehindLocked() {
	p := s.pipe
	if s.notOnDiskLocked() == 0 {
		return
	}
	var staying, pending queue
	for p.queue.len() > 0 {
		m := p.queue.pop()
		if m.settled() || m.progress == awaitingDeadLetter { // its dead letter replaces it
			staying.push(m)
			continue
		}
		p.forgetInSessionLocked(m) // it is a different message when it is read from the disk
		pending.push(m)
	}
	for s.pending.len() > 0 {
		pending.push(s.pending.pop())
	}
	p.queue, s.pending = staying, pending
	p.resetIsolationLocked() // the messages are read from the disk later
	p.next, p.evictor = 0, evictor{}
	s.wakeUp()
}

// wakeIfJoinedLocked wakes the goroutine of run if all messages that go first in modeJoining
// have left the queue.
func (s *spool) wakeIfJoinedLocked() {
	if s != nil && s.mode == modeJoining && s.notOnDiskLocked() == 0 {
		s.wakeUp()
	}
}

// dequeuedLocked updates the counts of records after m has left the queue.
func (s *spool) dequeuedLocked(m *outgoing) {
	if !m.settled() {
		s.wakeIfJoinedLocked()
		return
	}
	before := s.queuedFromDiskBytes
	s.queuedFromDisk--
	s.queuedFromDiskBytes -= m.recordSize
	if m.recordNumber > 0 {
		s.releaseRecordLocked(m)
	}
	if s.queuedFromDisk == readAheadMessages/2 || s.queuedFromDisk == 0 || before > readAheadBytes/2 && s.queuedFromDiskBytes <= readAheadBytes/2 {
		s.wakeUp()
	}
}

// releaseRecordLocked releases the record of m and all records before it.
func (s *spool) releaseRecordLocked(m *outgoing) {
	s.released = max(s.released, m.recordNumber)
	s.releasedBytes += m.recordSize
	s.releasedCount++
	if s.releasedCount == releaseMessages {
		s.wakeUp()
	}
}

// hasUnwrittenLocked reports whether messages are about to be written.
func (s *spool) hasUnwrittenLocked() bool {
	return s != nil && s.pending.len() > 0 && s.failure == "" && s.full == ""
}

// pendingQoS0BytesLocked returns the size of the QoS 0 messages in pending that are not
// in the queue, too.
func (s *spool) pendingQoS0BytesLocked() (size int) {
	if s == nil {
		return 0
	}
	for i := range s.pending.len() {
		if m := s.pending.at(i); m.waitsInMemory() && m.custody == atSource {
			size += m.size()
		}
	}
	return size
}

// oldestIsOlderLocked reports whether the oldest message in the queue has been held for
// longer than age.
func (p *Pipe) oldestIsOlderLocked(age time.Duration) bool {
	return p.queue.len() > 0 && time.Since(p.queue.at(0).ReceivedAt) > age
}

// heldLocked returns the number of messages held in memory.
func (p *Pipe) heldLocked() int {
	if p.spool == nil {
		return p.queue.len()
	}
	return p.queue.len() + p.spool.pending.len() - p.spool.alsoQueued
}

// notOnDiskLocked returns the number of held messages that are not on disk.
func (p *Pipe) notOnDiskLocked() int {
	if p.spool == nil {
		return p.queue.len()
	}
	return p.heldLocked() - p.spool.queuedFromDisk
}
