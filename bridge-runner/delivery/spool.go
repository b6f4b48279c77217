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

// RunSpool writes to the pipe's disk and reads from it until the context ends. All
// operations that block are done here, without the pipe's lock.
func (p *Pipe) RunSpool(ctx context.Context) {
	if p.disk == nil {
		return
	}
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	defer p.spoolTask.Wait()
	for {
		p.spoolTask.Begin(spoolAllowance)
		p.checkTimes()
		for p.step() && ctx.Err() == nil {
			p.spoolTask.Begin(spoolAllowance)
		}
		p.spoolTask.Wait()
		select {
		case <-p.disk.wake:
		case <-ticker.C:
		case <-ctx.Done():
			p.spoolTask.Begin(spoolAllowance)
			p.step() // the QoS 0 messages that wait to be written are kept nowhere else
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
	p.releaseRecords()
	if err := d.log.Close(); err != nil {
		p.meter.DiskFailed() // some messages are sent again: at least once
	}
	d.log = nil
}

// checkTimes handles the conditions that change with time alone.
func (p *Pipe) checkTimes() {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, now := p.disk, time.Now()
	if d.failure != "" && !now.Before(d.retryAt) {
		p.recheckDiskLocked()
	}
	if d.fullMessage != "" && now.Sub(d.lastFullAt) > fullFor {
		d.fullMessage = ""
	}
	if !d.spooling && p.queue.len() > d.queuedFromDisk && now.Sub(p.queue.at(d.queuedFromDisk).ReceivedAt) > slowAfter {
		p.startSpoolingLocked()
	}
	for i := 0; i < p.queue.len() && d.TTL > 0; i++ {
		m := p.queue.at(i)
		if !m.settled() || !d.expired(m, now) {
			break
		}
		if m.progress == queued || m.progress == awaitingDeadLetter {
			p.dropLocked(m, DropExpired)
		}
	}
	p.dequeueDoneLocked()
}

// recheckDiskLocked ends a failure if the disk can be written again. It releases the lock
// while it writes.
func (p *Pipe) recheckDiskLocked() {
	d := p.disk
	if d.log == nil {
		d.failure = "" // openLog tries again
		return
	}
	p.mu.Unlock()
	err := d.log.Save(true)
	p.mu.Lock()
	if err != nil {
		p.diskFailedLocked(err)
		return
	}
	d.failure = ""
	p.reportStateLocked()
}

// step does one round of work. It reports whether there may be more.
func (p *Pipe) step() (more bool) {
	d := p.disk
	isOpen := d.log != nil || p.openLog()
	restored := isOpen && p.restore()
	read := isOpen && p.readAhead()
	p.mu.Lock()
	if !isOpen {
		d.allRead = true // there is no log to read
	}
	stopped := p.stopSpoolingLocked()
	if stopped {
		p.pumpLocked()
		p.dequeueDoneLocked()
	}
	p.mu.Unlock()
	wrote := isOpen && p.writeBatch()
	if isOpen {
		p.releaseRecords()
	}
	p.mu.Lock()
	if isOpen {
		d.messages, d.bytes = d.log.Records(), d.log.BacklogBytes()
	}
	p.reportStateLocked()
	if p.stopping {
		p.idle.Broadcast()
	}
	dest := p.dest
	p.mu.Unlock()
	if (read || stopped) && dest != nil {
		dest.Flush()
	}
	if wrote || stopped {
		p.opts.Flush()
	}
	return wrote || read || stopped || restored
}

// openLog opens the log and reports whether it is open. If opening fails, the pipe works
// without the log and tries again.
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
		p.diskFailedLocked(err)
		return false
	}
	d.log, d.allRead = log, log.Cursor() == log.Next()
	if quarantined := log.Quarantined(); len(quarantined) > 0 {
		d.damage = fmt.Sprintf("damaged files in the buffer's directory were quarantined (renamed): %q; the messages in them are lost; check the disk, and delete the files", quarantined)
		p.meter.DiskFailed()
	}
	if !d.allRead {
		p.bypassSpoolLocked()
	}
	return true
}

// diskFailedLocked records that the disk cannot be written at present. Its records are
// still read, as far as possible.
func (p *Pipe) diskFailedLocked(err error) {
	p.meter.DiskFailed()
	if errors.Is(err, buffer.ErrFull) {
		p.setFullLocked(err.Error())
		return
	}
	p.disk.failure = fmt.Sprintf("the buffer's disk cannot be used: %v; the bridge works without it, and messages that the other side has not acknowledged stay with their source; check the volume", err)
	p.disk.retryAt = time.Now().Add(min(retryAfter<<min(p.disk.failures, 8), retryMax))
	p.disk.failures++
	p.reportStateLocked()
}

// releaseRecords releases in the log the records of delivered messages.
func (p *Pipe) releaseRecords() {
	d := p.disk
	p.mu.Lock()
	if d.queuedFromDisk == 0 { // no message is left in the queue that would release the records that were passed over
		d.released = max(d.released, d.log.Cursor()-1)
	}
	number, size := d.released, d.releasedBytes
	d.releasedBytes, d.releasedCount = 0, 0
	p.mu.Unlock()
	before := d.log.DiskUsage()
	d.log.Release(number, size)
	if d.log.DiskUsage() < before {
		p.mu.Lock()
		d.retryAppendAt = time.Time{}
		p.mu.Unlock()
	}
	if err := d.log.Save(false); err != nil {
		p.mu.Lock()
		p.diskFailedLocked(err)
		p.mu.Unlock()
	}
}
