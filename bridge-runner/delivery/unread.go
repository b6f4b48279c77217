// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

const (
	// deferAfter is how long the pipe waits for a part of the log that cannot be read, so
	// that a short problem does not change the order of messages. After that the part is
	// deferred: later messages are delivered first.
	deferAfter = 10 * time.Second
	// unreadRetry is the time between a failed attempt to read and the next attempt. It
	// doubles up to unreadRetryMax.
	unreadRetry    = 500 * time.Millisecond
	unreadRetryMax = 10 * time.Second
	// restoreBytes is how much of a deferred part is restored at once.
	restoreBytes = 4 << 20
)

// unread describes the parts of a log that cannot be read. They are not damaged: the volume
// may become readable again. Only the goroutine of run uses it.
type unread struct {
	// since is when reading the next record began to fail. Zero while it works.
	since time.Time
	// readRetry is when the next record is tried again.
	readRetry retry
	// restoreRetry is when the deferred parts are tried again.
	restoreRetry retry
	// err says why reading fails.
	err error
}

// retry is when a failed operation is tried again.
type retry struct {
	at      time.Time
	backoff time.Duration
}

// backOff plans the next attempt after a failure at now.
func (r *retry) backOff(now time.Time) {
	r.backoff = min(max(2*r.backoff, unreadRetry), unreadRetryMax)
	r.at = now.Add(r.backoff)
}

// noteReadResult updates unread after an attempt to read the log. It reports whether it
// has deferred a part of the log, so that reading continues behind that part.
func (s *spool) noteReadResult(progress bool, err error) (deferred bool) {
	u, now := &s.unread, time.Now()
	if progress || err == nil {
		u.since, u.readRetry = time.Time{}, retry{}
	}
	if err == nil {
		s.describeUnread()
		return false
	}
	if u.since.IsZero() {
		u.since = now
	}
	u.err = err
	u.readRetry.backOff(now)
	if now.Sub(u.since) >= s.deferAfter() {
		if _, err := s.log.Defer(); err != nil {
			u.err = err // nothing is removed from the disk until the deferral is saved
		}
		u.readRetry = retry{} // the part behind it is read at once
		deferred = true
	}
	s.describeUnread()
	return deferred
}

func (s *spool) deferAfter() time.Duration {
	if s.deferAfterInTest > 0 {
		return s.deferAfterInTest
	}
	return deferAfter
}

// describeUnread updates the message for users.
func (s *spool) describeUnread() {
	parts, records, _ := s.log.Deferred()
	message := s.unread.describe(parts, records)
	s.pipe.mu.Lock()
	s.unreadable = message
	s.pipe.mu.Unlock()
}

// describe returns the message for users. parts and records are the deferred parts of the log;
// records is 0 if their number is unknown. The message is empty if no read has failed since the
// process started: a part that an earlier process deferred may be readable again.
func (u *unread) describe(parts int, records uint64) string {
	switch {
	case u.err == nil:
		return ""
	case parts > 0 && records == 0:
		return fmt.Sprintf("a part of the backlog cannot be read: %v; later messages are delivered first; the part is kept, and delivered when it can be read again; check the volume", u.err)
	case parts > 0:
		return fmt.Sprintf("%s of the backlog cannot be read: %v; later messages are delivered first; unreadable messages are kept, and delivered when they can be read again; check the volume", count.Of(records, "message"), u.err)
	case !u.since.IsZero():
		return fmt.Sprintf("the backlog cannot be read: %v; it is kept, and the bridge tries to read it again; check the volume", u.err)
	}
	return ""
}

// restore appends deferred messages that can be read again to the log. It reports whether
// there may be more.
func (s *spool) restore() bool {
	p := s.pipe
	u, now := &s.unread, time.Now()
	parts, _, _ := s.log.Deferred()
	if parts == 0 || now.Before(u.restoreRetry.at) {
		return false
	}
	if ok, err := s.log.Readable(); !ok {
		u.restoreRetry.backOff(now)
		if err != nil {
			u.err = err
		}
		s.describeUnread()
		return false
	}
	if !s.startRestore() {
		return false // it is tried again when the messages that go first are written
	}
	restored, lost, err := s.log.Restore(restoreBytes)
	if u.restoreRetry = (retry{}); err != nil {
		u.restoreRetry.backOff(now)
		u.err = err
	}
	s.describeUnread()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.writing = false
	s.allRead = s.log.Cursor() == s.log.Next()
	if lost > 0 {
		s.countDamagedLocked(lost)
	}
	return restored > 0 || lost > 0
}

// startRestore starts to spool, and reports whether all held messages are on disk. They
// have to be in the log first, because restored messages are appended behind them.
func (s *spool) startRestore() bool {
	p := s.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || s.failure != "" {
		return false
	}
	s.needLocked()
	if s.mode != modeSpooling || s.alsoQueued > 0 {
		return false
	}
	s.writing, s.allRead = true, false // spooling must not stop meanwhile
	return true
}
