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
func (s *spool) writeBatch() bool {
	p := s.pipe
	b := s.takeBatch()
	if len(b.messages) == 0 {
		return false
	}
	all := s.scratch[:0]
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
	if s.scratch = all; cap(all) > 2*batchBytes {
		s.scratch = nil
	}
	first, err := s.appendRecords(records)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.writing = false
	if err == nil {
		s.maxBatch, s.failures = batchMessages, 0
		s.batchWrittenLocked(&b, first, records)
		return true
	}
	if !errors.Is(err, buffer.ErrFull) {
		s.diskFailedLocked(err)
		return false
	}
	return s.batchFullLocked(&b, err)
}

// appendRecords appends records to the log. If the log is full and the policy is
// DropOldest, it drops the oldest records first.
func (s *spool) appendRecords(records [][]byte) (first uint64, err error) {
	p := s.pipe
	for {
		if len(records) == 0 {
			return 0, nil
		}
		first, err = s.log.Append(records)
		if s.WhenFull != v1alpha1.WhenFullDropOldest || !errors.Is(err, buffer.ErrFull) || errors.Is(err, buffer.ErrTooLarge) {
			return first, err
		}
		dropped, ok := s.log.DropOldest()
		if !ok {
			return 0, err
		}
		p.mu.Lock()
		for range dropped {
			p.meter.Dropped(DropBufferFull)
		}
		s.setFullLocked(fmt.Sprintf("%v; the oldest messages are dropped (whenFull)", err))
		p.mu.Unlock()
	}
}

// takeBatch returns the messages to be written next. They stay in pending.
func (s *spool) takeBatch() (b batch) {
	p := s.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.mode != modeSpooling || s.failure != "" || time.Now().Before(s.retryAppendAt) {
		return b
	}
	n := min(s.pending.len(), s.maxBatch)
	b.messages, b.recorded = make([]*outgoing, 0, n), make([]bool, 0, n)
	for i := 0; i < n && b.size < batchBytes; i++ {
		m := s.pending.at(i)
		b.messages, b.recorded = append(b.messages, m), append(b.recorded, m.progress != done)
		b.size += m.size()
	}
	s.writing = n > 0
	return b
}

// batchWrittenLocked updates the messages of a batch that is on disk.
func (s *spool) batchWrittenLocked(b *batch, first uint64, records [][]byte) {
	p := s.pipe
	record := 0
	for i, m := range b.messages {
		s.pending.pop()
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
			s.alsoQueued--
			if m.recordNumber > 0 {
				s.log.SkipTo(m.recordNumber + 1)
			}
		}
		switch m.custody {
		case unneeded: // it has left the queue meanwhile
			if m.recordNumber > 0 {
				s.releaseRecordLocked(m)
			}
			continue
		case spooling:
			s.queuedFromDisk++
			s.queuedFromDiskBytes += m.recordSize
		case atSource, onDisk: // the message is read from the log later
			p.endSpanLocked(m, Outcome{Result: ResultStored})
		}
		p.settleLocked(m)
	}
	s.allRead = s.log.Cursor() == s.log.Next()
	p.dequeueDoneLocked()
}

// batchFullLocked handles a batch for which the log has no room. It reports whether it
// made progress.
func (s *spool) batchFullLocked(b *batch, err error) bool {
	p := s.pipe
	if n := len(b.messages); n > 1 { // there may be room for some of the messages
		s.maxBatch = n / 2
		return true
	}
	// A message that is in the queue, too, can be delivered from there in its turn.
	drop := s.WhenFull == v1alpha1.WhenFullDropNewest ||
		s.WhenFull == v1alpha1.WhenFullDropOldest && errors.Is(err, buffer.ErrTooLarge) // to drop the others does not help
	if drop && b.messages[0].custody == atSource {
		s.setFullLocked(fmt.Sprintf("%v; the newest messages are dropped (whenFull)", err))
		for range b.messages {
			m := s.pending.pop()
			if m.progress != done {
				p.dropLocked(m, DropBufferFull)
			}
			p.settleLocked(m)
		}
		return true
	}
	s.setFullLocked(fmt.Sprintf("%v; new messages are not acknowledged and stay with their source", err))
	s.retryAppendAt = time.Now().Add(checkInterval)
	return false
}

// setFullLocked records that the log has no room. text says which messages are dropped or
// left at their source.
func (s *spool) setFullLocked(text string) {
	s.full = fmt.Sprintf("the buffer on disk is full: %s; raise buffer.disk.size, or restore the connection to the other side", text)
	s.lastFullAt = time.Now()
}
