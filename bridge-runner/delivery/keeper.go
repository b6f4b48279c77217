// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"
)

// Keep writes to the pipe's disk and reads from it, until the context ends. All that
// blocks is done here, without the pipe's lock.
func (p *Pipe) Keep(ctx context.Context) {
	if p.disk == nil {
		return
	}
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		p.check()
		for p.step() && ctx.Err() == nil {
		}
		select {
		case <-p.disk.wake:
		case <-ticker.C:
		case <-ctx.Done():
			p.step() // QoS 0 messages that wait to be written have no other place
			p.closeLog()
			return
		}
	}
}

func (p *Pipe) closeLog() {
	d := p.disk
	if d.log == nil {
		return
	}
	p.freeRecords()
	if err := d.log.Close(); err != nil {
		p.meter.DiskFailed() // some come again: at least once
	}
	d.log = nil
}

// check looks at what time alone changes.
func (p *Pipe) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, now := p.disk, time.Now()
	if d.failure != "" && !now.Before(d.retry) {
		p.probe()
	}
	if d.full != "" && now.Sub(d.noRoomAt) > fullFor {
		d.full = ""
	}
	if !d.buffering && p.queue.len() > d.loaded && now.Sub(p.queue.at(d.loaded).At) > heldTooLong {
		p.enter()
	}
	for i := 0; i < p.queue.len() && d.TTL > 0; i++ {
		m := p.queue.at(i)
		if !m.settled || !d.expired(m, now) {
			break
		}
		if !m.inflight && !m.done {
			p.drop(m, DropExpired)
		}
	}
	p.release()
}

// probe ends a failure where the disk can be written again.
func (p *Pipe) probe() {
	d := p.disk
	if d.log == nil {
		d.failure = "" // to be opened
		return
	}
	p.mu.Unlock()
	err := d.log.Save(true)
	p.mu.Lock()
	if err != nil {
		p.failed(err)
		return
	}
	d.failure = ""
	p.tell()
}

// step does one round of work. It reports whether there may be more.
func (p *Pipe) step() (more bool) {
	d := p.disk
	if d.log == nil && !p.openLog() {
		p.mu.Lock()
		d.allRead = true // of none
		if p.leave() {
			p.pump()
			p.release()
		}
		p.mu.Unlock()
		return false
	}
	read := p.read()
	p.mu.Lock()
	left := p.leave()
	if left {
		p.pump()
		p.release()
	}
	p.mu.Unlock()
	wrote := p.write()
	p.freeRecords()
	p.mu.Lock()
	d.messages, d.bytes = d.log.Messages(), d.log.Bytes()
	p.tell()
	if p.stopping {
		p.idle.Broadcast()
	}
	dest := p.dest
	p.mu.Unlock()
	if (read || left) && dest != nil {
		dest.Flush()
	}
	if wrote || left {
		p.opts.Flush()
	}
	return wrote || read || left
}

// openLog opens the log. Where that fails the pipe does without, and tries again.
func (p *Pipe) openLog() bool {
	d := p.disk
	p.mu.Lock()
	unusable := d.failure != ""
	p.mu.Unlock()
	if unusable {
		return false
	}
	log, err := buffer.Open(d.Dir, d.Bytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failed(err)
		return false
	}
	d.log, d.allRead = log, log.Messages() == 0
	if aside := log.SetAside(); len(aside) > 0 {
		d.damage = fmt.Sprintf("damaged files were set aside in the buffer's directory: %q; the messages in them are lost; check the disk, and delete the files", aside)
		p.meter.DiskFailed()
	}
	if !d.buffering && log.Messages() > 0 { // what is held stays ahead of the backlog
		d.buffering = true
		for i := range p.queue.len() {
			p.queue.at(i).ahead = true
			d.ahead++
		}
	}
	return true
}

// failed notes that the disk cannot be used for now.
func (p *Pipe) failed(err error) {
	p.meter.DiskFailed()
	p.disk.failure = fmt.Sprintf("the disk of the buffer fails: %v; the bridge goes on without it, what the other side has not acknowledged stays with its source; check the volume", err)
	p.disk.retry = time.Now().Add(retryAfter)
	p.tell()
}

// batch is what is written at once.
type batch struct {
	messages []*outgoing
	recorded []bool // which of them have a record
	size     int
}

// write writes what waits for it. It reports whether it did.
func (p *Pipe) write() bool {
	b := p.takeBatch()
	if len(b.messages) == 0 {
		return false
	}
	all := p.disk.scratch[:0]
	ends := make([]int, 0, len(b.messages))
	for i, m := range b.messages {
		if b.recorded[i] {
			all, b.recorded[i] = appendStored(all, m)
		}
		ends = append(ends, len(all))
	}
	records := make([][]byte, 0, len(b.messages))
	start := 0
	for i, end := range ends {
		if b.recorded[i] {
			records = append(records, all[start:end])
		}
		start = end
	}
	if p.disk.scratch = all; cap(all) > 2*batchBytes {
		p.disk.scratch = nil
	}
	first, err := p.append(records)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disk.taken = false
	if err == nil {
		p.disk.most = batchMessages
		p.written(&b, first, records)
		return true
	}
	if !errors.Is(err, buffer.ErrFull) {
		p.failed(err)
		return false
	}
	return p.noRoom(&b, err)
}

// append appends to the log, where it may for what the oldest take.
func (p *Pipe) append(records [][]byte) (first uint64, err error) {
	d := p.disk
	for {
		if len(records) == 0 {
			return 0, nil
		}
		first, err = d.log.Append(records)
		if d.WhenFull != v1alpha1.WhenFullDropOldest || !errors.Is(err, buffer.ErrFull) {
			return first, err
		}
		dropped, ok := d.log.DropOldest()
		if !ok {
			return 0, err
		}
		p.mu.Lock()
		for range dropped {
			p.meter.Dropped(DropBufferFull)
		}
		p.isFull(fmt.Sprintf("%v; the oldest messages are dropped (whenFull)", err))
		p.mu.Unlock()
	}
}

// takeBatch returns what is to be written next. It stays pending.
func (p *Pipe) takeBatch() (b batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.disk
	if !d.buffering || d.failure != "" || time.Now().Before(d.blocked) {
		return b
	}
	n := min(d.pending.len(), d.most)
	b.messages, b.recorded = make([]*outgoing, 0, n), make([]bool, 0, n)
	for i := 0; i < n && b.size < batchBytes; i++ {
		m := d.pending.at(i)
		b.messages, b.recorded = append(b.messages, m), append(b.recorded, !m.done)
		b.size += m.size()
	}
	d.taken = n > 0
	return b
}

// written notes that a batch is on the disk.
func (p *Pipe) written(b *batch, first uint64, records [][]byte) {
	d, record := p.disk, 0
	for i, m := range b.messages {
		d.pending.pop()
		if m.waits() {
			p.qos0 -= m.size()
		}
		if b.recorded[i] {
			m.number, m.stored = first+uint64(record), buffer.Size(len(records[record]))
			record++
		} else if !m.done {
			m.done = true
			p.meter.Dropped(DropTooLarge)
		}
		if m.copied {
			m.copied = false
			d.copies--
			if m.number > 0 {
				d.log.Skip(m.number + 1)
			}
			if m.popped { // and settled by that
				if m.number > 0 {
					d.free(m)
				}
				continue
			}
			d.loaded++
			d.loadedBytes += m.stored
		}
		m.settle()
	}
	d.allRead = d.log.Cursor() == d.log.Next()
	p.release()
}

// noRoom does what is to be done with a batch for which there is no room. It reports
// whether something was done.
func (p *Pipe) noRoom(b *batch, err error) bool {
	d := p.disk
	if n := len(b.messages); n > 1 { // there may be room for some of them
		d.most = n / 2
		return true
	}
	// What is in the queue, too, can be delivered from there in its turn.
	if d.WhenFull == v1alpha1.WhenFullDropNewest && !b.messages[0].copied {
		p.isFull(fmt.Sprintf("%v; the newest messages are dropped (whenFull)", err))
		for range b.messages {
			m := d.pending.pop()
			if !m.done {
				p.drop(m, DropBufferFull)
			}
			m.settle()
		}
		return true
	}
	p.isFull(fmt.Sprintf("%v; nothing more is acknowledged, and stays with its source", err))
	d.blocked = time.Now().Add(checkEvery)
	return false
}

// isFull notes that there is no room.
func (p *Pipe) isFull(text string) {
	p.disk.full = fmt.Sprintf("the buffer on disk is full: %s; raise buffer.disk.size, or bring the other side back", text)
	p.disk.noRoomAt = time.Now()
}

// read hands on what is next in the log, as far as there is room. It reports whether it
// did.
func (p *Pipe) read() bool {
	d := p.disk
	p.mu.Lock()
	room, size := d.room(), aheadBytes-d.loadedBytes
	blocked := p.stopping || d.failure != ""
	p.mu.Unlock()
	if blocked || room <= 0 || d.log.Cursor() >= d.log.Next() {
		return false
	}
	now := time.Now()
	messages := make([]*outgoing, 0, min(uint64(room), d.log.Next()-d.log.Cursor()))
	var broken, expired int
	lost, err := d.log.Read(room, size, func(number uint64, body []byte, size int64) {
		m, err := parseStored(body, now)
		switch {
		case err != nil:
			broken++
		case d.expired(m, now):
			expired++
		default:
			m.number, m.stored = number, size
			messages = append(messages, m)
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	for range expired {
		p.meter.Dropped(DropExpired)
	}
	if err == nil {
		d.unread = 0
	} else {
		p.failed(err)
		d.unread++
		if d.unread >= unreadable {
			lost += d.log.SkipSegment()
			d.unread = 0
		}
	}
	if lost += uint64(broken); lost > 0 { //nolint:gosec // not negative
		p.lost(lost)
	}
	for _, m := range messages {
		p.queue.push(m)
		d.loaded++
		d.loadedBytes += m.stored
	}
	d.allRead = d.log.Cursor() == d.log.Next()
	p.pump()
	p.release()
	return true
}

// lost notes that messages on the disk cannot be read.
func (p *Pipe) lost(n uint64) {
	p.meter.DiskFailed()
	for range n {
		p.meter.Dropped(DropDamaged)
	}
	p.disk.damage = fmt.Sprintf("messages on the disk of the buffer could not be read and are lost, the latest of them %d at %s; check the disk", n, time.Now().UTC().Format(time.RFC3339))
}

// freeRecords ends the keeping of what the destination has.
func (p *Pipe) freeRecords() {
	d := p.disk
	p.mu.Lock()
	if d.loaded == 0 { // none is left that would release what was passed over
		d.released = max(d.released, d.log.Cursor()-1)
	}
	number, size := d.released, d.releasedBytes
	d.releasedBytes, d.unreleased = 0, 0
	p.mu.Unlock()
	before := d.log.Taken()
	d.log.Release(number, size)
	if d.log.Taken() < before {
		p.mu.Lock()
		d.blocked = time.Time{}
		p.mu.Unlock()
	}
	if err := d.log.Save(false); err != nil {
		p.mu.Lock()
		p.failed(err)
		p.mu.Unlock()
	}
}
