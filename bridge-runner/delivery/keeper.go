// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"
)

// Keep writes to the pipe's disk and reads from it, until the context ends. All that
// blocks is done here, without the pipe's lock.
func (p *Pipe) RunSpool(ctx context.Context) {
	if p.disk == nil {
		return
	}
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	defer p.keeper.Wait()
	for {
		p.keeper.Begin(diskPatience)
		p.check()
		for p.step() && ctx.Err() == nil {
			p.keeper.Begin(diskPatience)
		}
		p.keeper.Wait()
		select {
		case <-p.disk.wake:
		case <-ticker.C:
		case <-ctx.Done():
			p.keeper.Begin(diskPatience)
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
	isOpen := d.log != nil || p.openLog()
	restored := isOpen && p.restore()
	read := isOpen && p.read()
	p.mu.Lock()
	if !isOpen {
		d.allRead = true // of none
	}
	left := p.leave()
	if left {
		p.pump()
		p.release()
	}
	p.mu.Unlock()
	wrote := isOpen && p.write()
	if isOpen {
		p.freeRecords()
	}
	p.mu.Lock()
	if isOpen {
		d.messages, d.bytes = d.log.Messages(), d.log.Bytes()
	}
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
	return wrote || read || left || restored
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
	d.log, d.allRead = log, log.Cursor() == log.Next()
	if aside := log.SetAside(); len(aside) > 0 {
		d.damage = fmt.Sprintf("damaged files were set aside in the buffer's directory: %q; the messages in them are lost; check the disk, and delete the files", aside)
		p.meter.DiskFailed()
	}
	if !d.allRead {
		p.goAhead()
	}
	return true
}

// failed notes that the disk cannot be written for now. What is on it is read all the
// same, as far as it can be.
func (p *Pipe) failed(err error) {
	p.meter.DiskFailed()
	if errors.Is(err, buffer.ErrFull) {
		p.isFull(err.Error())
		return
	}
	p.disk.failure = fmt.Sprintf("the disk of the buffer fails: %v; the bridge goes on without it, what the other side has not acknowledged stays with its source; check the volume", err)
	p.disk.retry = time.Now().Add(min(retryAfter<<min(p.disk.failures, 8), retryMax))
	p.disk.failures++
	p.tell()
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
