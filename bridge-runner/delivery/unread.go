// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"time"
)

const (
	// deferAfter is how long reading waits for a part of the log that cannot be read, so
	// that a short trouble does not cost the order. Then the part is deferred: later
	// messages are delivered first.
	deferAfter = 10 * time.Second
	// unreadRetry is how long after a failed attempt to read the next one is made. It
	// doubles up to unreadRetryMax.
	unreadRetry    = 500 * time.Millisecond
	unreadRetryMax = 10 * time.Second
	// restoreBytes is how much of a deferred part is restored at once.
	restoreBytes = 4 << 20
)

// unread is what a pipe knows of parts of its log that cannot be read. They are no
// damage: the volume may come back. The keeper alone uses it, but for message, which the
// pipe's lock guards.
type unread struct {
	since   time.Time // reading what is next has failed since then; zero: it works
	next    retry     // to read what is next
	restore retry     // to read what was deferred
	err     error     // why reading fails
	message string    // for users; empty: all can be read
}

// retry is when something that has failed is tried again.
type retry struct {
	at      time.Time
	backoff time.Duration
}

func (r *retry) failed(now time.Time) {
	r.backoff = min(max(2*r.backoff, unreadRetry), unreadRetryMax)
	r.at = now.Add(r.backoff)
}

// deferUnread notes how an attempt to read the log ended. It reports whether it has
// deferred a part of the log, so that reading goes on behind that.
func (p *Pipe) deferUnread(progress bool, err error) (deferred bool) {
	u, now := &p.disk.unread, time.Now()
	if progress || err == nil {
		u.since, u.next = time.Time{}, retry{}
	}
	if err == nil {
		p.describeUnread()
		return false
	}
	if u.since.IsZero() {
		u.since = now
	}
	u.err = err
	u.next.failed(now)
	if now.Sub(u.since) >= p.disk.deferAfter() {
		if _, err := p.disk.log.Defer(); err != nil {
			u.err = err // nothing is removed from the disk until it has the deferral
		}
		u.next = retry{} // for what is behind it
		deferred = true
	}
	p.describeUnread()
	return deferred
}

func (d *Disk) deferAfter() time.Duration {
	if d.patience > 0 {
		return d.patience
	}
	return deferAfter
}

// describeUnread brings the message for users up to date.
func (p *Pipe) describeUnread() {
	u := &p.disk.unread
	parts, records, _ := p.disk.log.Deferred()
	message := ""
	switch {
	case parts > 0 && records == 0:
		message = fmt.Sprintf("a part of the backlog cannot be read: %v; later messages are delivered meanwhile; it is kept, and delivered when it can be read again; check the volume", u.err)
	case parts > 0:
		message = fmt.Sprintf("%d messages of the backlog cannot be read: %v; later ones are delivered meanwhile; they are kept, and delivered when they can be read again; check the volume", records, u.err)
	case !u.since.IsZero():
		message = fmt.Sprintf("the backlog cannot be read: %v; it is kept, and reading is tried again; check the volume", u.err)
	}
	p.mu.Lock()
	u.message = message
	p.mu.Unlock()
}

// restore appends messages that were deferred, and can be read again, to the log. It
// reports whether there may be more.
func (p *Pipe) restore() bool {
	u, now := &p.disk.unread, time.Now()
	parts, _, _ := p.disk.log.Deferred()
	if parts == 0 || now.Before(u.restore.at) {
		return false
	}
	if ok, err := p.disk.log.Readable(); !ok {
		u.restore.failed(now)
		if err != nil {
			u.err = err
		}
		p.describeUnread()
		return false
	}
	if !p.startRestore() {
		return false // it is tried again when what is to be written first is written
	}
	restored, lost, err := p.disk.log.Restore(restoreBytes)
	if u.restore = (retry{}); err != nil {
		u.restore.failed(now)
		u.err = err
	}
	p.describeUnread()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disk.taken = false
	p.disk.allRead = p.disk.log.Cursor() == p.disk.log.Next()
	if lost > 0 {
		p.lost(lost)
	}
	return restored > 0 || lost > 0
}

// startRestore has what comes go to the disk, and reports whether all that is held is
// there: it is older than what is restored, which the log has behind it.
func (p *Pipe) startRestore() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.disk
	if p.stopping || d.failure != "" {
		return false
	}
	p.enter()
	if d.copies > 0 || d.ahead > 0 {
		return false
	}
	d.taken, d.allRead = true, false // no leave meanwhile
	return true
}
