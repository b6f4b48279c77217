// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"
)

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
		p.disk.most, p.disk.failures = batchMessages, 0
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
		if d.WhenFull != v1alpha1.WhenFullDropOldest || !errors.Is(err, buffer.ErrFull) || errors.Is(err, buffer.ErrTooLarge) {
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
	if !d.buffering || d.ahead > 0 || d.failure != "" || time.Now().Before(d.blocked) {
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
		if !m.done {
			p.unwait(m)
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
		p.settle(m)
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
	drop := d.WhenFull == v1alpha1.WhenFullDropNewest ||
		d.WhenFull == v1alpha1.WhenFullDropOldest && errors.Is(err, buffer.ErrTooLarge) // the others are of no help
	if drop && !b.messages[0].copied {
		p.isFull(fmt.Sprintf("%v; the newest messages are dropped (whenFull)", err))
		for range b.messages {
			m := d.pending.pop()
			if !m.done {
				p.drop(m, DropBufferFull)
			}
			p.settle(m)
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
