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

// batch holds the messages that are written at once.
type batch struct {
	messages []*outgoing
	// recorded says of each message whether it has a record. Done messages and messages that
	// are too large have none.
	recorded []bool
	// size is the size of the messages in memory, in bytes.
	size int
}

// writeBatch writes the next batch. It reports whether it made progress.
func (p *Pipe) writeBatch() bool {
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
	first, err := p.appendRecords(records)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disk.batchInFlight = false
	if err == nil {
		p.disk.maxBatch, p.disk.failures = batchMessages, 0
		p.batchWrittenLocked(&b, first, records)
		return true
	}
	if !errors.Is(err, buffer.ErrFull) {
		p.diskFailedLocked(err)
		return false
	}
	return p.batchFullLocked(&b, err)
}

// appendRecords appends records to the log. If the log is full and the policy is
// DropOldest, it drops the oldest records first.
func (p *Pipe) appendRecords(records [][]byte) (first uint64, err error) {
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
		p.setFullLocked(fmt.Sprintf("%v; the oldest messages are dropped (whenFull)", err))
		p.mu.Unlock()
	}
}

// takeBatch returns the messages to be written next. They stay in pending.
func (p *Pipe) takeBatch() (b batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.disk
	if !d.spooling || d.bypassing > 0 || d.failure != "" || time.Now().Before(d.retryAppendAt) {
		return b
	}
	n := min(d.pending.len(), d.maxBatch)
	b.messages, b.recorded = make([]*outgoing, 0, n), make([]bool, 0, n)
	for i := 0; i < n && b.size < batchBytes; i++ {
		m := d.pending.at(i)
		b.messages, b.recorded = append(b.messages, m), append(b.recorded, m.progress != done)
		b.size += m.size()
	}
	d.batchInFlight = n > 0
	return b
}

// batchWrittenLocked updates the messages of a batch that is on disk.
func (p *Pipe) batchWrittenLocked(b *batch, first uint64, records [][]byte) {
	d, record := p.disk, 0
	for i, m := range b.messages {
		d.pending.pop()
		if !b.recorded[i] && m.progress != done {
			p.dropLocked(m, DropTooLarge)
		}
		if m.progress != done {
			p.uncountQoS0Locked(m)
		}
		if b.recorded[i] {
			m.recordNumber, m.recordSize = first+uint64(record), buffer.RecordSize(len(records[record]))
			record++
		}
		if m.custody != atSource { // it was in the queue, too
			d.alsoQueued--
			if m.recordNumber > 0 {
				d.log.SkipTo(m.recordNumber + 1)
			}
		}
		switch m.custody {
		case unneeded: // it has left the queue meanwhile
			if m.recordNumber > 0 {
				d.releaseRecordLocked(m)
			}
			continue
		case spooling:
			d.queuedFromDisk++
			d.queuedFromDiskBytes += m.recordSize
		case atSource, onDisk:
		}
		p.settleLocked(m)
	}
	d.allRead = d.log.Cursor() == d.log.Next()
	p.dequeueDoneLocked()
}

// batchFullLocked handles a batch for which the log has no room. It reports whether it
// made progress.
func (p *Pipe) batchFullLocked(b *batch, err error) bool {
	d := p.disk
	if n := len(b.messages); n > 1 { // there may be room for some of the messages
		d.maxBatch = n / 2
		return true
	}
	// A message that is in the queue, too, can be delivered from there in its turn.
	drop := d.WhenFull == v1alpha1.WhenFullDropNewest ||
		d.WhenFull == v1alpha1.WhenFullDropOldest && errors.Is(err, buffer.ErrTooLarge) // to drop the others does not help
	if drop && b.messages[0].custody == atSource {
		p.setFullLocked(fmt.Sprintf("%v; the newest messages are dropped (whenFull)", err))
		for range b.messages {
			m := d.pending.pop()
			if m.progress != done {
				p.dropLocked(m, DropBufferFull)
			}
			p.settleLocked(m)
		}
		return true
	}
	p.setFullLocked(fmt.Sprintf("%v; new messages are not acknowledged and stay with their source", err))
	d.retryAppendAt = time.Now().Add(checkInterval)
	return false
}

// setFullLocked records that the log has no room. text says which messages are dropped or
// left at their source.
func (p *Pipe) setFullLocked(text string) {
	p.disk.fullMessage = fmt.Sprintf("the buffer on disk is full: %s; raise buffer.disk.size, or restore the connection to the other side", text)
	p.disk.lastFullAt = time.Now()
}
