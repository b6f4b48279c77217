// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"
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

// disk is the state of a pipe's spool. Pipe.mu guards its fields, except log and scratch,
// which only the goroutine of RunSpool uses.
type disk struct {
	Disk
	// log is nil until it is opened.
	log *buffer.Log
	// scratch is reused for the records of each batch.
	scratch []byte
	// wake has room for one element, which wakes the goroutine of RunSpool.
	wake chan struct{}

	// spooling says that messages that arrive are written to the disk. It is true until the
	// log is open, so that no message is sent before an older backlog.
	spooling bool
	// pending holds the messages to be written, in order.
	pending queue
	// batchInFlight says that the first messages of pending are being written, or that
	// deferred records are being restored.
	batchInFlight bool
	// maxBatch is the maximum number of messages written at once. It halves when the log has
	// no room for a batch, and is batchMessages again after a successful write.
	maxBatch int
	// allRead says that all records of the log have been read.
	allRead bool
	// alsoQueued is the number of messages of pending that were in the queue, too, when
	// spooling started.
	alsoQueued int

	// queuedFromDisk is the number of messages in the queue that are on disk.
	queuedFromDisk int
	// queuedFromDiskBytes is the size of the records of these messages.
	queuedFromDiskBytes int64
	// bypassing is the number of messages in the queue that are sent before the backlog of
	// the log. Nothing is written while it is not 0.
	bypassing int

	// released is the number of the last record that is released.
	released uint64
	// releasedBytes and releasedCount are the size and the number of the records that were
	// released since the log was last updated.
	releasedBytes int64
	releasedCount int

	// failure says why the disk is not used. It is empty while the disk is used.
	failure string
	// retryAt is the time at which a failed disk is tried again.
	retryAt time.Time
	// failures is the number of failures since the last successful write.
	failures int
	unread   unread
	// fullMessage says that the log was full recently. It is empty if there is room.
	fullMessage string
	// lastFullAt is when the log was last found full.
	lastFullAt time.Time
	// retryAppendAt is the time before which nothing is written to a full log.
	retryAppendAt time.Time
	// damage describes messages that were lost on the disk. It is not reset.
	damage string

	// messages and bytes are the number and the size of the records in the log, after the
	// latest step of RunSpool.
	messages uint64
	bytes    int64
	// lastNonEmpty is when the log was last seen with records.
	lastNonEmpty time.Time
	// reportedState and reportedMessage were passed to Observe last.
	reportedState   v1alpha1.BacklogState
	reportedMessage string
}

func newDisk(opts Disk) *disk {
	return &disk{Disk: opts, wake: make(chan struct{}, 1), spooling: true, maxBatch: batchMessages, reportedState: v1alpha1.BacklogEmpty}
}

// wakeUp wakes the goroutine of RunSpool. It does not block.
func (d *disk) wakeUp() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// expired reports whether m has waited longer than the TTL.
func (d *disk) expired(m *outgoing, now time.Time) bool {
	return d.TTL > 0 && now.Sub(m.ReceivedAt) >= d.TTL
}

// readAheadRoomLocked returns how many more messages, and how many more bytes of records,
// may be read ahead. Delivered messages that wait for the messages in front of them need
// little memory, but not none.
func (p *Pipe) readAheadRoomLocked() (messages int, bytes int64) {
	d := p.disk
	messages, bytes = readAheadMessages-d.queuedFromDisk, readAheadBytes-d.queuedFromDiskBytes
	if messages > 0 && bytes > 0 {
		return messages, bytes
	}
	messages, bytes = readAheadMessages, readAheadBytes
	for i := range p.queue.len() {
		if m := p.queue.at(i); m.settled() && m.progress != done {
			messages--
			bytes -= m.recordSize
		}
	}
	return min(messages, maxQueuedFromDisk-d.queuedFromDisk), bytes
}

// startSpoolingLocked starts to spool: all held messages, and all messages that arrive,
// are written to the disk. It does nothing if the pipe spools already, the disk has
// failed, or the pipe is stopping.
func (p *Pipe) startSpoolingLocked() {
	d := p.disk
	if d.spooling || d.failure != "" || p.stopping {
		return
	}
	d.spooling = true
	for i := range p.queue.len() {
		m := p.queue.at(i)
		if m.settled() {
			continue
		}
		m.custody = spooling
		d.alsoQueued++
		d.pending.push(m)
	}
	d.wakeUp()
}

// stopSpoolingLocked returns to direct mode if the whole log is read and the destination
// keeps up, or if the disk has failed. It reports whether it did.
func (p *Pipe) stopSpoolingLocked() bool {
	d := p.disk
	if !d.spooling || d.batchInFlight || !d.allRead || d.bypassing > 0 {
		return false
	}
	if d.failure == "" && (p.dest == nil || d.alsoQueued > 0 || p.oldestIsOlderLocked(slowAfter/2)) {
		return false
	}
	d.spooling, d.fullMessage = false, ""
	for d.pending.len() > 0 {
		m := d.pending.pop()
		switch m.custody {
		case atSource:
			p.enqueueLocked(m)
		case spooling:
			m.custody = atSource
		case onDisk, unneeded: // it has left the queue
		}
	}
	d.alsoQueued = 0
	return true
}

// bypassSpoolLocked lets the held messages be sent before the backlog of a log that was
// opened late. They are not written: their records would be behind the backlog, and to
// release them would release the backlog, too.
func (p *Pipe) bypassSpoolLocked() {
	d := p.disk
	d.spooling = true
	for ; d.alsoQueued > 0; d.alsoQueued-- { // these are the first messages of pending
		if m := d.pending.pop(); m.custody == spooling {
			m.custody = atSource
		}
	}
	for i := range p.queue.len() {
		p.queue.at(i).bypass = true
		d.bypassing++
	}
	if p.dest == nil {
		p.requeueBehindSpoolLocked()
	}
}

// requeueBehindSpoolLocked moves the messages that bypass the log to pending, so that
// they are written behind the backlog, which is older. It is called when there is no
// destination for them.
func (p *Pipe) requeueBehindSpoolLocked() {
	d := p.disk
	if d.bypassing == 0 {
		return
	}
	var loaded, pending queue
	for p.queue.len() > 0 {
		m := p.queue.pop()
		bypassed := m.bypass
		m.bypass = false
		if !bypassed || m.progress == awaitingDeadLetter { // its dead letter replaces it
			loaded.push(m)
			continue
		}
		p.forgetInSessionLocked(m) // it is a different message when it is read from the disk
		pending.push(m)
	}
	for d.pending.len() > 0 {
		pending.push(d.pending.pop())
	}
	p.queue, d.pending, d.bypassing = loaded, pending, 0
	p.resetIsolationLocked() // the messages are read from the disk later
	p.next, p.evictor = 0, evictor{}
	d.wakeUp()
}

// oldestIsOlderLocked reports whether the oldest message in the queue has been held for
// longer than age.
func (p *Pipe) oldestIsOlderLocked(age time.Duration) bool {
	return p.queue.len() > 0 && time.Since(p.queue.at(0).ReceivedAt) > age
}

// dequeuedLocked updates the counts of the spool after m has left the queue.
func (p *Pipe) dequeuedLocked(m *outgoing) {
	d := p.disk
	if m.bypass {
		d.bypassing--
		d.wakeUp() // messages may be written now
	}
	if !m.settled() {
		return
	}
	before := d.queuedFromDiskBytes
	d.queuedFromDisk--
	d.queuedFromDiskBytes -= m.recordSize
	if m.recordNumber > 0 {
		d.releaseRecordLocked(m)
	}
	if d.queuedFromDisk == readAheadMessages/2 || d.queuedFromDisk == 0 || before > readAheadBytes/2 && d.queuedFromDiskBytes <= readAheadBytes/2 {
		d.wakeUp()
	}
}

// releaseRecordLocked releases the record of m and all records before it.
func (d *disk) releaseRecordLocked(m *outgoing) {
	d.released = max(d.released, m.recordNumber)
	d.releasedBytes += m.recordSize
	d.releasedCount++
	if d.releasedCount == releaseMessages {
		d.wakeUp()
	}
}

// heldLocked returns the number of messages held in memory.
func (p *Pipe) heldLocked() int {
	if p.disk == nil {
		return p.queue.len()
	}
	return p.queue.len() + p.disk.pending.len() - p.disk.alsoQueued
}

// notOnDiskLocked returns the number of held messages that are not on disk.
func (p *Pipe) notOnDiskLocked() int {
	if p.disk == nil {
		return p.queue.len()
	}
	return p.heldLocked() - p.disk.queuedFromDisk
}

// hasUnwrittenLocked reports whether messages are about to be written.
func (p *Pipe) hasUnwrittenLocked() bool {
	return p.disk != nil && p.disk.pending.len() > 0 && p.disk.failure == "" && p.disk.fullMessage == ""
}

// pendingQoS0BytesLocked returns the size of the QoS 0 messages in pending that are not
// in the queue, too.
func (p *Pipe) pendingQoS0BytesLocked() (size int) {
	if p.disk == nil {
		return 0
	}
	for i := range p.disk.pending.len() {
		if m := p.disk.pending.at(i); m.waitsInMemory() && m.custody == atSource {
			size += m.size()
		}
	}
	return size
}

// Backlog is the content of a pipe's buffer: the messages on disk or, without a disk, the
// QoS 0 messages in memory.
type Backlog struct {
	Messages uint64
	Bytes    int64
	// Oldest is when the oldest message was received. It is zero if there is no message, or
	// if the time is not known yet.
	Oldest time.Time
}

// Backlog returns the content of the buffer.
func (p *Pipe) Backlog() Backlog {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.disk != nil:
		b := Backlog{Messages: p.disk.messages, Bytes: p.disk.bytes}
		if b.Messages > 0 && p.queue.len() > 0 && p.queue.at(0).settled() {
			b.Oldest = p.queue.at(0).ReceivedAt
		}
		return b
	case !p.opts.BufferQoS0 || p.dest != nil:
		return Backlog{}
	}
	var b Backlog
	for i := p.evictor.next; i < p.queue.len(); i++ {
		if m := p.queue.at(i); m.waitsInMemory() {
			if b.Messages == 0 {
				b.Oldest = m.ReceivedAt
			}
			b.Messages++
		}
	}
	b.Bytes = int64(p.qos0Bytes)
	return b
}

// reportStateLocked calls Disk.Observe if the state of the disk has changed.
func (p *Pipe) reportStateLocked() {
	d := p.disk
	if d == nil {
		return
	}
	if d.messages > 0 {
		d.lastNonEmpty = time.Now()
	}
	state, message := v1alpha1.BacklogDraining, d.damage
	switch {
	case d.failure != "":
		state, message = v1alpha1.BacklogFailed, d.failure
	case d.unread.message != "":
		state, message = v1alpha1.BacklogFailed, d.unread.message
	case d.fullMessage != "":
		state, message = v1alpha1.BacklogFull, d.fullMessage
	case d.messages == 0 && d.reportedState == v1alpha1.BacklogDraining && time.Since(d.lastNonEmpty) < emptyAfter:
	case d.messages == 0:
		state = v1alpha1.BacklogEmpty
	case p.dest == nil:
		state = v1alpha1.BacklogBuffering
	}
	if state == d.reportedState && message == d.reportedMessage {
		return
	}
	d.reportedState, d.reportedMessage = state, message
	if d.OnStateChange != nil {
		d.OnStateChange(state, message)
	}
}
