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
	// Dir is the log's own directory.
	Dir string
	// Bytes is what it may take.
	Bytes int64
	// WhenFull says what happens then.
	WhenFull v1alpha1.WhenFull
	// TTL is how long a message may wait. 0: without end.
	TTL time.Duration
	// Observe is told of each change of state, with a lock held: it must be quick.
	// The message says what is wrong, if anything is.
	Observe func(state v1alpha1.BacklogState, message string)

	patience time.Duration // instead of deferAfter, in tests
}

const (
	// heldTooLong is for how long a message may be held before the destination is
	// taken for slow, and what is held goes to the disk.
	heldTooLong = time.Second
	// checkEvery is how often that is looked at.
	checkEvery = 200 * time.Millisecond
	// retryAfter is how long a disk that has failed is left alone. It doubles up to
	// retryMax while nothing can be written.
	retryAfter = 5 * time.Second
	retryMax   = time.Minute
	// fullFor is how long a buffer is said to be full after it was last found so: at
	// its limit it is so by turns.
	fullFor = 3 * time.Second
	// emptyAfter is for how long a buffer has to be empty to be said to be: one that is
	// so by turns would change the bridge's status all the time.
	emptyAfter = time.Second
	// batchMessages and batchBytes bound what is written at once.
	batchMessages = 4096
	batchBytes    = 1 << 20
	// aheadMessages and aheadBytes bound what is read of the log and not acknowledged.
	aheadMessages = 1024
	// aheadDone bounds these together with the messages that are delivered and wait for the
	// ones before them.
	aheadDone  = 64 * aheadMessages
	aheadBytes = 4 << 20
	// releaseMessages is after how many the log is told that they are delivered, or
	// when it is looked at anyway. Those of which it does not know come twice after a
	// crash.
	releaseMessages = 64
)

// disk is what a pipe knows of its log. The pipe's lock guards it, but for log, which
// is the keeper's own.
type disk struct {
	Disk
	log     *buffer.Log
	scratch []byte // for what is written; the keeper's own, too
	wake    chan struct{}

	// buffering says that what comes is written. It is so until the log is open, so
	// that nothing gets ahead of a backlog.
	buffering bool
	pending   queue // to be written, in order
	taken     bool  // the first of them are being written
	most      int   // of them at once
	allRead   bool  // of the log
	copies    int   // of pending, so many are in the pipe's queue, too

	// Of the pipe's queue.
	loaded      int   // so many are on disk, too
	loadedBytes int64 // and take so much there
	ahead       int   // so many go ahead of the log; nothing is written meanwhile

	released      uint64 // number of the last record to be released
	releasedBytes int64  // and what they take
	unreleased    int    // messages of which the log does not know yet

	failure  string    // why the disk is not used; empty: it is
	retry    time.Time // not before
	failures int       // since something was written
	unread   unread    // parts of the log
	full     string    // that there was no room a while ago; empty: there is
	noRoomAt time.Time // when that was last so
	blocked  time.Time // so long there is none, as far as is known
	damage   string    // what was lost on the disk

	messages uint64    // in the log
	held     time.Time // when there last were any
	bytes    int64
	state    v1alpha1.BacklogState
	message  string
}

func newDisk(opts Disk) *disk {
	return &disk{Disk: opts, wake: make(chan struct{}, 1), buffering: true, most: batchMessages, state: v1alpha1.BacklogEmpty}
}

func (d *disk) wakeUp() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *disk) expired(m *outgoing, now time.Time) bool {
	return d.TTL > 0 && now.Sub(m.At) >= d.TTL
}

// room is how many messages more may be read ahead, and how many bytes. Messages that are
// delivered, and wait for the ones before them, take little, but not nothing.
func (p *Pipe) room() (messages int, bytes int64) {
	d := p.disk
	messages, bytes = aheadMessages-d.loaded, aheadBytes-d.loadedBytes
	if messages > 0 && bytes > 0 {
		return messages, bytes
	}
	messages, bytes = aheadMessages, aheadBytes
	for i := range p.queue.len() {
		if m := p.queue.at(i); m.settled && !m.done {
			messages--
			bytes -= m.stored
		}
	}
	return min(messages, aheadDone-d.loaded), bytes
}

// enter has all that is held, and all that comes, written to the disk. It does nothing
// where that is so already, or the disk has failed.
func (p *Pipe) enter() {
	d := p.disk
	if d.buffering || d.failure != "" || p.stopping {
		return
	}
	d.buffering = true
	for i := range p.queue.len() {
		m := p.queue.at(i)
		if m.settled {
			continue
		}
		m.copied = true
		d.copies++
		d.pending.push(m)
	}
	d.wakeUp()
}

// leave has what comes go directly, where all of the log is read and the destination
// keeps up, or the disk has failed. It reports whether it did so.
func (p *Pipe) leave() bool {
	d := p.disk
	if !d.buffering || d.taken || !d.allRead || d.ahead > 0 {
		return false
	}
	if d.failure == "" && (p.dest == nil || d.copies > 0 || p.late(heldTooLong/2)) {
		return false
	}
	d.buffering, d.full = false, ""
	for d.pending.len() > 0 {
		m := d.pending.pop()
		if m.copied {
			m.copied = false
			continue
		}
		p.enqueue(m)
	}
	d.copies = 0
	return true
}

// goAhead lets what is held go ahead of a log that was opened late and has a backlog. It
// is not written: its records would be behind the backlog, and release that with them.
func (p *Pipe) goAhead() {
	d := p.disk
	d.buffering = true
	for ; d.copies > 0; d.copies-- { // they are the first of pending
		d.pending.pop().copied = false
	}
	for i := range p.queue.len() {
		p.queue.at(i).ahead = true
		d.ahead++
	}
	if p.dest == nil {
		p.putBehind()
	}
}

// putBehind has what would go ahead of the log be written behind its backlog, now that
// there is no destination for it: the backlog is older.
func (p *Pipe) putBehind() {
	d := p.disk
	if d.ahead == 0 {
		return
	}
	var loaded, pending queue
	for p.queue.len() > 0 {
		m := p.queue.pop()
		isAhead := m.ahead
		m.ahead = false
		if !isAhead || m.parked { // its dead letter replaces it
			loaded.push(m)
			continue
		}
		p.forgetLocked(m) // it is another message when it comes from the disk
		pending.push(m)
	}
	for d.pending.len() > 0 {
		pending.push(d.pending.pop())
	}
	p.queue, d.pending, d.ahead = loaded, pending, 0
	p.forgetTrialsLocked() // their messages come from the disk, later
	p.next, p.kept = 0, kept{}
	d.wakeUp()
}

// late reports whether the oldest message has been held for longer than that.
func (p *Pipe) late(most time.Duration) bool {
	return p.queue.len() > 0 && time.Since(p.queue.at(0).At) > most
}

// popped notes that a message has left the queue.
func (p *Pipe) popped(m *outgoing) {
	d := p.disk
	m.popped = true
	if m.ahead {
		d.ahead--
		d.wakeUp() // it may be written now
	}
	if !m.settled {
		return
	}
	before := d.loadedBytes
	d.loaded--
	d.loadedBytes -= m.stored
	if m.number > 0 {
		d.free(m)
	}
	if d.loaded == aheadMessages/2 || d.loaded == 0 || before > aheadBytes/2 && d.loadedBytes <= aheadBytes/2 {
		d.wakeUp()
	}
}

// free notes that the record of m is not needed any more, nor any before it.
func (d *disk) free(m *outgoing) {
	d.released = max(d.released, m.number)
	d.releasedBytes += m.stored
	d.unreleased++
	if d.unreleased == releaseMessages {
		d.wakeUp()
	}
}

// held is how many messages are held in memory.
func (p *Pipe) held() int {
	if p.disk == nil {
		return p.queue.len()
	}
	return p.queue.len() + p.disk.pending.len() - p.disk.copies
}

// direct is how many messages are held that are not on disk.
func (p *Pipe) direct() int {
	if p.disk == nil {
		return p.queue.len()
	}
	return p.held() - p.disk.loaded
}

// writing reports whether anything is about to be written.
func (p *Pipe) writing() bool {
	return p.disk != nil && p.disk.pending.len() > 0 && p.disk.failure == "" && p.disk.full == ""
}

// unwritten is what QoS 0 messages take that wait to be written.
func (p *Pipe) unwritten() (size int) {
	if p.disk == nil {
		return 0
	}
	for i := range p.disk.pending.len() {
		if m := p.disk.pending.at(i); m.waits() && !m.copied {
			size += m.size()
		}
	}
	return size
}

// Backlog is what is in a pipe's buffer: on disk, or at QoS 0 in memory.
type Backlog struct {
	Messages uint64
	Bytes    int64
	Oldest   time.Time // zero where there is none, or it is not known yet
}

// Backlog returns what is in the buffer.
func (p *Pipe) Backlog() Backlog {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.disk != nil:
		b := Backlog{Messages: p.disk.messages, Bytes: p.disk.bytes}
		if b.Messages > 0 && p.queue.len() > 0 && p.queue.at(0).settled {
			b.Oldest = p.queue.at(0).At
		}
		return b
	case !p.opts.BufferQoS0 || p.dest != nil:
		return Backlog{}
	}
	var b Backlog
	for i := p.kept.next; i < p.queue.len(); i++ {
		if m := p.queue.at(i); m.waits() {
			if b.Messages == 0 {
				b.Oldest = m.At
			}
			b.Messages++
		}
	}
	b.Bytes = int64(p.qos0)
	return b
}

// tell tells of the disk's state, where it has changed.
func (p *Pipe) tell() {
	d := p.disk
	if d == nil {
		return
	}
	if d.messages > 0 {
		d.held = time.Now()
	}
	state, message := v1alpha1.BacklogDraining, d.damage
	switch {
	case d.failure != "":
		state, message = v1alpha1.BacklogFailed, d.failure
	case d.unread.message != "":
		state, message = v1alpha1.BacklogFailed, d.unread.message
	case d.full != "":
		state, message = v1alpha1.BacklogFull, d.full
	case d.messages == 0 && d.state == v1alpha1.BacklogDraining && time.Since(d.held) < emptyAfter:
	case d.messages == 0:
		state = v1alpha1.BacklogEmpty
	case p.dest == nil:
		state = v1alpha1.BacklogBuffering
	}
	if state == d.state && message == d.message {
		return
	}
	d.state, d.message = state, message
	if d.Observe != nil {
		d.Observe(state, message)
	}
}
