// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"time"
)

// readAhead reads the next records of the log into the queue, as far as there is room. It
// reports whether it made progress.
func (p *Pipe) readAhead() bool {
	d := p.disk
	p.mu.Lock()
	room, size := p.readAheadRoomLocked()
	blocked := p.stopping || time.Now().Before(d.unread.readRetry.at)
	p.mu.Unlock()
	if blocked || room <= 0 || size <= 0 || d.log.Cursor() >= d.log.Next() {
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
			m.recordNumber, m.recordSize = number, size
			messages = append(messages, m)
		}
	})
	deferred := p.noteReadResult(len(messages)+broken+expired > 0, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	for range expired {
		p.meter.Dropped(DropExpired)
	}
	if err != nil {
		p.meter.DiskFailed()
	}
	if lost += uint64(broken); lost > 0 { //nolint:gosec // broken is not negative
		p.countDamagedLocked(lost)
	}
	for _, m := range messages {
		p.enqueueLocked(m)
		d.queuedFromDisk++
		d.queuedFromDiskBytes += m.recordSize
	}
	d.allRead = d.log.Cursor() == d.log.Next()
	p.pumpLocked()
	p.dequeueDoneLocked()
	return err == nil || deferred
}

// countDamagedLocked counts messages that are damaged on the disk.
func (p *Pipe) countDamagedLocked(n uint64) {
	p.meter.DiskFailed()
	for range n {
		p.meter.Dropped(DropDamaged)
	}
	p.disk.damage = fmt.Sprintf("messages in the buffer on disk were damaged and are lost, most recently %d messages, found at %s; check the disk", n, time.Now().UTC().Format(time.RFC3339))
}
