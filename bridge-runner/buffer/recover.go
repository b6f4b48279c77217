// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// find lists the segments, and sets aside those that are damaged as a whole. Those that
// cannot be read stay: they may be readable later.
func (l *Log) find() error {
	entries, err := os.ReadDir(l.dir) // in the order of their names, which is that of their numbers
	if err != nil {
		return fmt.Errorf("opening the buffer: %w", err)
	}
	for _, e := range entries {
		number, ok := segmentNumber(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("opening the buffer: %w", err)
		}
		size := fileSize(info)
		if l.damaged(number) && size > headerSize {
			if err := l.setAside(number); err != nil {
				return fmt.Errorf("setting a damaged segment aside: %w", err)
			}
			size = 0
		}
		l.segments = append(l.segments, &segment{first: number, size: size, sized: info.Mode().IsRegular()})
	}
	return nil
}

// damaged reports whether a segment is known to be no segment.
func (l *Log) damaged(number uint64) bool {
	r, first, ok, err := openReader(l.path(number))
	if err != nil {
		return false
	}
	r.close()
	return !ok || first != number
}

// setAside renames a damaged segment. An empty one takes its place, so that its records
// are known to be lost, and not to be missing.
func (l *Log) setAside(number uint64) error {
	path := l.path(number)
	if err := os.Rename(path, path+asideSuffix); err != nil {
		return err
	}
	l.aside = append(l.aside, fmt.Sprintf("%020d", number)+segmentSuffix+asideSuffix)
	empty, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600) //nolint:gosec // in the directory that the user names
	if err != nil {
		return err
	}
	return empty.Close()
}

// recover cuts off what a crash has left behind the last whole record, and returns the
// number of that record.
func (l *Log) recover() (last uint64, err error) {
	for len(l.segments) > 0 {
		s := l.segments[len(l.segments)-1]
		last, whole, err := l.lastRecord(s)
		if err != nil { // it has a number of records that is not known
			return max(l.deferLast(s), last), nil
		}
		if whole > 0 {
			if whole < s.size {
				// If it fails, the numbers of the next segment show that the tail is not valid.
				_ = os.Truncate(l.path(s.first), whole)
			}
			s.size = whole
			return last, nil
		}
		if l.wanting(s.first) != nil { // its records are lost: Restore counts them
			return last, nil
		}
		if err := os.Remove(l.path(s.first)); err != nil {
			return 0, fmt.Errorf("removing an empty segment: %w", err)
		}
		l.segments = l.segments[:len(l.segments)-1]
		if len(l.segments) == 0 {
			return s.first - 1, nil
		}
	}
	return 0, nil
}

// lastRecord returns the number of the last whole record in a segment, and where it ends.
func (l *Log) lastRecord(s *segment) (last uint64, end int64, err error) {
	r, err := openSegment(l.path(s.first), s.first)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	r.end = s.size
	for {
		number, _, err := r.next()
		if errors.Is(err, io.EOF) {
			return last, end, nil
		}
		if err != nil {
			return last, end, err
		}
		last, end = number, r.pos
	}
}

// deferLast defers the newest segment, which cannot be read, and returns the number of
// the last record that may be in it.
func (l *Log) deferLast(s *segment) (last uint64) {
	for _, d := range l.deferrals() {
		if d.needs(s) {
			return d.behind - 1 // nothing was written to it since
		}
	}
	d := &deferral{from: max(s.first, l.position.saved+1), file: s.first, bytes: max(s.size-headerSize, 0)}
	d.newest = max(s.first, l.position.ledger.newest) // which may be missing
	return l.deferUnknown(d)
}

// deferNewest defers the newest segments if they are missing, and returns the number of
// the last record that may be in them. last is that of the others.
func (l *Log) deferNewest(last uint64) uint64 {
	for _, d := range l.deferrals() {
		last = max(last, d.behind-1)
	}
	newest := l.position.ledger.newest
	if newest <= last || l.wanting(newest) != nil {
		return last
	}
	d := &deferral{from: max(last, l.position.saved) + 1, newest: newest, missing: true}
	if len(l.segments) > 0 {
		d.file = l.last().first
	}
	return l.deferUnknown(d)
}

// deferUnknown defers records of which it is not known how many there are, and returns
// the number of the last one that there may be. What was deferred before bounds them:
// those that are behind it have their own deferral, so that no record has two.
func (l *Log) deferUnknown(d *deferral) (last uint64) {
	if before := l.deferralAt(d.from); before != nil {
		return before.behind - 1
	}
	d.next, d.behind = d.from, max(d.from, d.newest)+openRun
	if bound := l.firstDeferral(d.from, d.behind); bound < d.behind {
		d.behind, d.newest = bound, 0
	}
	l.setDeferrals(append(l.deferrals(), d))
	return d.behind - 1
}

// countDeferred counts what deferrals take in segments that are not there.
func (l *Log) countDeferred() {
	for _, d := range l.deferrals() {
		present := int64(0)
		for _, s := range l.segments {
			if d.needs(s) {
				present += s.size
				l.bytes -= max(s.size-headerSize, 0)
			}
		}
		d.absent = max(d.bytes-present, 0)
		l.size += d.absent
	}
	l.bytes = max(l.bytes, 0)
}

// setNewest notes the newest segment in the ledger. That may be lost with the machine:
// then a missing one is not noticed.
func (l *Log) setNewest(number uint64) {
	if p := l.position; p.ledger.newest != number {
		p.ledger.newest, p.changed = number, true
	}
}
