// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"time"
)

// lease is the knowledge about the Lease. It stays empty in a Pair.
type lease struct {
	// known is true if a record was observed.
	known  bool
	record Record
	// found is the latest term that was found elsewhere, see TermFound. It gives no order to claims, because
	// this member may be the earlier one: only a write that replaces the known record passes it.
	found uint64
	// changedAt is the time at which the latest renewal or change of the holder was observed.
	changedAt time.Time
	// validUntil is the end of the validity of the own claim by the own clock: the start of the latest
	// successful write and the duration. It is valid if the record's holder is this member.
	validUntil time.Time
	// confirmed is the step at which the latest successful write of this member as the holder began.
	confirmed uint64
	// writing is the write under way. It is nil if there is none.
	writing *write
	// writeAt is the earliest time of the next write.
	writeAt time.Time
	// result is the result of the latest write.
	result Result
	// failing is true if the API server has not answered the latest write.
	failing bool
	// unanswered is the step at which the latest write began that the API server has not answered.
	unanswered uint64
	// released is true if the claim was released, or the API server has not answered the release.
	released bool
	// writable is the record, by the time of its change, in which this member has written its entry, and
	// unwritable is the record in which it has failed to. They are zero if there is none.
	writable, unwritable time.Time

	// reading is true while a ReadLease is under way.
	reading bool
	// readBegan is the start of the latest ReadLease.
	readBegan time.Time
	// readFailed is true if the latest ReadLease failed.
	readFailed bool
	// readSince is the end of the first ReadLease in a series of successes that returned this record: the
	// API server may have been down before. It is zero if there is none.
	readSince time.Time
	// readAt is the start of the latest ReadLease of this series.
	readAt time.Time
}

// term is the term of the claim that is written in the record.
func (r Record) term() Term { return Term{Lease: r.Term} }

// write is a write of the Lease.
type write struct {
	release bool
	// join is true if the write changes only the entry of this member.
	join bool
	seq  uint64
	at   time.Time
}

// observe processes a record. A watch may report a record that is older than a record that is
// already known.
func (m *Machine) observe(r Record) {
	l := &m.lease
	if l.known && r.UID == l.record.UID && r.Term < l.record.Term {
		return
	}
	if r.Duration <= 0 {
		r.Duration = m.cfg.Duration
	}
	old := l.record
	changed := !l.known || r.UID != old.UID || r.Term != old.Term || r.Holder != old.Holder || r.Renewed != old.Renewed
	l.known, l.record = true, r
	if changed {
		l.changedAt, l.readSince = m.now, time.Time{}
		m.disprove()
		if m.state.Claims() && !m.holds() { // a user has changed the Lease, or has deleted it
			l.writeAt = m.now
		}
	}
	for _, id := range append([]ID{r.Holder}, r.Members...) {
		if id != (ID{}) && id != m.cfg.Self {
			m.know(id).listed = true
		}
	}
	m.prune()
	if l.failing { // the API server answers again
		l.failing, l.writeAt = false, m.now
	}
}

// readEnded processes the end of a ReadLease, after its record.
func (m *Machine) readEnded(ok bool) {
	l := &m.lease
	l.reading, l.readFailed = false, !ok
	switch {
	case !ok:
		l.readSince = time.Time{}
	case l.readSince.IsZero():
		l.readSince, l.readAt = m.now, l.readBegan
	default:
		l.readAt = l.readBegan
	}
}

// read reads the Lease unless a read is under way or has just failed.
func (m *Machine) read() {
	l := &m.lease
	if l.reading || l.readFailed && m.now.Before(l.readBegan.Add(m.cfg.retry())) {
		return
	}
	l.reading, l.readBegan = true, m.now
	m.do(ReadLease{m.seq})
}

// holds reports whether the member's claim is written in the Lease.
func (m *Machine) holds() bool {
	return m.lease.record.Holder == m.cfg.Self && m.lease.record.term() == m.term
}

// Written returns the term of the member's claim if this claim is written in the Lease, otherwise 0.
func (m *Machine) Written() uint64 {
	if !m.state.Claims() || !m.holds() {
		return 0
	}
	return m.term.Lease
}

// valid reports whether no other member can have acquired the Lease, by the own clock.
func (m *Machine) valid() bool { return m.holds() && m.now.Before(m.lease.validUntil) }

// missed reports whether the holder has not renewed the Lease in time, and not at the next attempt either,
// as this member has observed. A holder that cannot reach the API server misses renewals, too.
func (m *Machine) missed() bool {
	d := m.lease.record.Duration
	return !m.now.Before(m.lease.changedAt.Add(d/3 + d/5))
}

// expired reports whether the record has not changed for its duration, by the own clock. That is no
// proof that the holder did not renew it: the API server may be down, or this member cut off.
func (m *Machine) expired() bool {
	return m.lease.known && !m.now.Before(m.expiry())
}

func (m *Machine) expiry() time.Time { return m.lease.changedAt.Add(m.lease.record.Duration) }

// grace is the time that the holder needs at most to renew the Lease when an API server that was down
// answers again: a request that is not answered ends, then the holder pauses, and then it repeats the request.
func (m *Machine) grace() time.Duration {
	holder := Config{Duration: m.lease.record.Duration}
	return max(holder.Duration/3, m.cfg.RequestTimeout+holder.retry()+2*holder.Heartbeat())
}

// provenExpired reports whether the Lease has expired although the API server answers. Reads must
// return the same record for the time grace, the latest after the expiry. They begin early enough for
// this, but after the next renewal is due, so that a holder that renews the Lease causes none.
func (m *Machine) provenExpired() bool {
	l := &m.lease
	grace := m.grace()
	early := min(grace+2*m.cfg.Heartbeat(), l.record.Duration/2)
	if !l.known || m.now.Before(m.expiry().Add(-early)) {
		return false
	}
	decisive := m.expiry()
	if end := l.readSince.Add(grace); end.After(decisive) {
		decisive = end
	}
	if !l.readSince.IsZero() && !l.readAt.Before(decisive) {
		return true
	}
	if l.readSince.IsZero() || !m.now.Before(decisive) {
		m.read()
	}
	return false
}

// mayWrite reports whether a write can begin now.
func (m *Machine) mayWrite() bool {
	return m.lease.known && m.lease.writing == nil && !m.now.Before(m.lease.writeAt)
}

func (m *Machine) write(a Action) {
	_, release := a.(Release)
	_, join := a.(Join)
	m.lease.writing = &write{release: release, join: join, seq: m.seq, at: m.now}
	m.do(a)
}

// nextTerm is the term of the next acquisition.
func (m *Machine) nextTerm() uint64 { return max(m.latestTerm().Lease, m.lease.found) + 1 }

// renew keeps the member's claim in the Lease. If the claim is not written yet, or has an earlier term than
// was found, it writes it.
func (m *Machine) renew() {
	r := m.lease.record
	switch {
	case !m.mayWrite():
	case m.holds() && m.lease.found <= r.Term:
		m.write(Renew{r})
	default:
		m.write(Acquire{r, m.nextTerm()})
	}
}

func (m *Machine) writeEnded(e LeaseWritten) {
	l := &m.lease
	w := l.writing
	if w == nil {
		return
	}
	l.writing, l.result = nil, e.Result
	switch e.Result {
	case Written:
		m.observe(e.Record)
		l.failing, l.released = false, w.release
		switch {
		case w.join:
			m.joined()
		case !w.release:
			l.changedAt, l.confirmed = m.now, w.seq
			l.validUntil, l.writeAt = w.at.Add(m.cfg.Duration), w.at.Add(m.cfg.renewal())
		}
	case Conflict:
		m.observe(e.Record)
		l.failing, l.writeAt = false, m.now
	case Unknown:
		l.failing, l.unanswered = true, w.seq
		l.writeAt, l.released = m.now.Add(m.cfg.retry()), w.release
		if w.join {
			l.unwritable = l.changedAt
		}
	}
	if m.state.Claims() || m.state == SteppedDown {
		m.adoptTerm()
	}
}

// joined records that the API server accepts writes of this member. If it has refused them before, the
// holder has time to renew the Lease, as after an outage.
func (m *Machine) joined() {
	l := &m.lease
	if l.unwritable.Equal(l.changedAt) {
		l.readSince = m.now
	}
	l.writable = l.changedAt
}

// adoptTerm raises the term of the claim to the term with which the member has written it.
func (m *Machine) adoptTerm() {
	if m.lease.record.Holder == m.cfg.Self {
		m.term = m.term.later(m.lease.record.term())
	}
}
