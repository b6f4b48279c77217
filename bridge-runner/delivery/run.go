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
	if p.spool != nil {
		p.spool.run(ctx)
	}
}

func (s *spool) run(ctx context.Context) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	defer s.task.Wait()
	for {
		s.task.Begin(spoolAllowance)
		s.checkTimes()
		for s.step() && ctx.Err() == nil {
			s.task.Begin(spoolAllowance)
		}
		s.task.Wait()
		select {
		case <-s.wake:
		case <-ticker.C:
		case <-ctx.Done():
			s.task.Begin(spoolAllowance)
			s.step() // the QoS 0 messages that wait to be written are kept nowhere else
			s.closeLog()
			return
		}
	}
}

func (s *spool) closeLog() {
	p := s.pipe
	if s.log == nil {
		return
	}
	s.releaseRecords()
	if err := s.log.Close(); err != nil {
		p.mu.Lock()
		p.meter.DiskFailed() // some messages are sent again: at least once
		p.mu.Unlock()
	}
	s.log = nil
}

// checkTimes handles the conditions that change with time alone.
func (s *spool) checkTimes() {
	p := s.pipe
	p.mu.Lock()
	now := time.Now()
	if s.failure != "" && !now.Before(s.retryAt) {
		s.recheckDiskLocked()
	}
	if s.full != "" && now.Sub(s.lastFullAt) > fullFor {
		s.full = ""
	}
	if s.mode == modeDirect && s.notOnDiskLocked() > 0 && now.Sub(p.queue.at(s.queuedFromDisk).ReceivedAt) > slowAfter {
		s.needLocked()
	}
	dropped := s.dropExpiredLocked(now)
	if dropped {
		p.pumpLocked() // the others may have waited for a message that was dropped
	}
	p.dequeueDoneLocked()
	p.unlockAndFlushIf(dropped)
}

// dropExpiredLocked drops the messages on disk that have waited longer than the TTL. It
// reports whether there were any.
func (s *spool) dropExpiredLocked(now time.Time) (dropped bool) {
	q := &s.pipe.queue
	for i := 0; i < q.len() && s.TTL > 0; i++ {
		m := q.at(i)
		if !m.settled() || !s.expired(m, now) {
			break
		}
		if m.progress == queued {
			s.pipe.dropLocked(m, DropExpired)
			dropped = true
		}
	}
	return dropped
}

// recheckDiskLocked ends a failure if the disk can be written again. It releases the lock
// while it writes.
func (s *spool) recheckDiskLocked() {
	p := s.pipe
	if s.log == nil {
		s.failure = "" // openLog tries again
		return
	}
	p.mu.Unlock()
	err := s.log.Save(true)
	p.mu.Lock()
	if err != nil {
		s.diskFailedLocked(err)
		return
	}
	s.failure = ""
	s.reportStateLocked()
}

// step does one round of work. It reports whether there may be more.
func (s *spool) step() (more bool) {
	p := s.pipe
	isOpen := s.log != nil || s.openLog()
	restored := isOpen && s.restore()
	read := isOpen && s.readAhead()
	p.mu.Lock()
	if !isOpen {
		s.allRead = true // there is no log to read
	}
	stopped := s.checkLocked()
	if stopped {
		p.pumpLocked()
		p.dequeueDoneLocked()
	}
	p.mu.Unlock()
	wrote := isOpen && s.writeBatch()
	if isOpen {
		s.releaseRecords()
	}
	p.mu.Lock()
	if isOpen {
		s.report.messages, s.report.bytes = s.log.Records(), s.log.BacklogBytes()
	}
	s.reportStateLocked()
	if p.stopping {
		p.idle.Broadcast()
	}
	p.unlockAndFlushIf(read || stopped || wrote)
	return wrote || read || stopped || restored
}

// openLog opens the log and reports whether it is open. If opening fails, the pipe works
// without the log and tries again.
func (s *spool) openLog() bool {
	p := s.pipe
	p.mu.Lock()
	unusable := s.failure != ""
	p.mu.Unlock()
	if unusable {
		return false
	}
	log, err := buffer.Open(s.Dir, s.Bytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		s.diskFailedLocked(err)
		return false
	}
	s.log, s.allRead = log, log.Cursor() == log.Next()
	if quarantined := log.Quarantined(); len(quarantined) > 0 {
		s.damage = fmt.Sprintf("damaged files in the buffer's directory were quarantined (renamed): %q; the messages in them are lost; check the disk, and delete the files", quarantined)
		p.meter.DiskFailed()
	}
	s.handleLocked(eventOpened)
	return true
}

// diskFailedLocked records that the disk cannot be written at present. Its records are
// still read, as far as possible.
func (s *spool) diskFailedLocked(err error) {
	p := s.pipe
	p.meter.DiskFailed()
	if errors.Is(err, buffer.ErrFull) {
		s.setFullLocked(err.Error())
		return
	}
	s.failure = fmt.Sprintf("the buffer's disk cannot be used: %v; the bridge works without it, and messages that the other side has not acknowledged stay with their source; check the volume", err)
	s.retryAt = time.Now().Add(min(retryAfter<<min(s.failures, 8), retryMax))
	s.failures++
	s.reportStateLocked()
}

// releaseRecords releases in the log the records of delivered messages.
func (s *spool) releaseRecords() {
	p := s.pipe
	p.mu.Lock()
	if s.queuedFromDisk == 0 { // no message is left in the queue that would release the records that were passed over
		s.released = max(s.released, s.log.Cursor()-1)
	}
	number, size := s.released, s.releasedBytes
	s.releasedBytes, s.releasedCount = 0, 0
	p.mu.Unlock()
	before := s.log.DiskUsage()
	s.log.Release(number, size)
	if s.log.DiskUsage() < before {
		p.mu.Lock()
		s.retryAppendAt = time.Time{}
		p.mu.Unlock()
	}
	if err := s.log.Save(false); err != nil {
		p.mu.Lock()
		s.diskFailedLocked(err)
		p.mu.Unlock()
	}
}
