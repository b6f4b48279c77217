// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"time"
)

// read hands on what is next in the log, as far as there is room. It reports whether it
// did.
func (p *Pipe) read() bool {
	d := p.disk
	p.mu.Lock()
	room, size := p.room()
	blocked := p.stopping || time.Now().Before(d.unread.next.at)
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
			m.number, m.stored = number, size
			messages = append(messages, m)
		}
	})
	deferred := p.deferUnread(len(messages)+broken+expired > 0, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	for range expired {
		p.meter.Dropped(DropExpired)
	}
	if err != nil {
		p.meter.DiskFailed()
	}
	if lost += uint64(broken); lost > 0 { //nolint:gosec // not negative
		p.lost(lost)
	}
	for _, m := range messages {
		p.enqueue(m)
		d.loaded++
		d.loadedBytes += m.stored
	}
	d.allRead = d.log.Cursor() == d.log.Next()
	p.pump()
	p.release()
	return err == nil || deferred
}

// lost notes that messages on the disk are damaged.
func (p *Pipe) lost(n uint64) {
	p.meter.DiskFailed()
	for range n {
		p.meter.Dropped(DropDamaged)
	}
	p.disk.damage = fmt.Sprintf("messages on the disk of the buffer are damaged and lost, the latest of them %d at %s; check the disk", n, time.Now().UTC().Format(time.RFC3339))
}
