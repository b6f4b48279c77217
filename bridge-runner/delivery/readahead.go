// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// readAhead reads the next records of the log into the queue, as far as there is room. It
// reports whether it made progress.
func (s *spool) readAhead() bool {
	p := s.pipe
	p.mu.Lock()
	room, size := s.readAheadRoomLocked()
	blocked := p.stopping || time.Now().Before(s.unread.readRetry.at)
	p.mu.Unlock()
	if blocked || room <= 0 || size <= 0 || s.log.Cursor() >= s.log.Next() {
		return false
	}
	now := time.Now()
	messages := make([]*outgoing, 0, min(uint64(room), s.log.Next()-s.log.Cursor()))
	var broken, expired int
	lost, err := s.log.Read(room, size, func(number uint64, body []byte, size int64) {
		m, err := parseStored(body, now)
		switch {
		case err != nil:
			broken++
		case s.expired(m, now):
			expired++
		default:
			m.recordNumber, m.recordSize = number, size
			messages = append(messages, m)
		}
	})
	deferred := s.noteReadResult(len(messages)+broken+expired > 0, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	for range expired {
		p.meter.Dropped(DropExpired)
	}
	if err != nil {
		p.meter.DiskFailed()
	}
	if lost += uint64(broken); lost > 0 { //nolint:gosec // broken is not negative
		s.countDamagedLocked(lost)
	}
	for _, m := range messages {
		if p.opts.Tracer != nil {
			p.continueSpanLocked(m)
		}
		p.enqueueLocked(m)
		s.queuedFromDisk++
		s.queuedFromDiskBytes += m.recordSize
	}
	s.allRead = s.log.Cursor() == s.log.Next()
	p.pumpLocked()
	p.dequeueDoneLocked()
	return err == nil || deferred || len(messages) > 0
}

// readAheadRoomLocked returns how many more messages, and how many more bytes of records,
// may be read ahead. Delivered messages that wait for the messages in front of them need
// little memory, but not none.
func (s *spool) readAheadRoomLocked() (messages int, bytes int64) {
	p := s.pipe
	messages, bytes = readAheadMessages-s.queuedFromDisk, readAheadBytes-s.queuedFromDiskBytes
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
	return min(messages, maxQueuedFromDisk-s.queuedFromDisk), bytes
}

// countDamagedLocked counts messages that are damaged on the disk.
func (s *spool) countDamagedLocked(n uint64) {
	p := s.pipe
	p.meter.DiskFailed()
	for range n {
		p.meter.Dropped(DropDamaged)
	}
	s.damage = fmt.Sprintf("messages in the buffer on disk were damaged and are lost, most recently %s, found at %s; check the disk", count.Of(n, "message"), time.Now().UTC().Format(time.RFC3339))
}
