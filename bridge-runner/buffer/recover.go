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

// findSegments lists the segments, and quarantines those whose header is damaged. Segments that
// cannot be read are kept, because they may be readable later.
func (l *Log) findSegments() error {
	entries, err := os.ReadDir(l.dir) // sorted by name, and therefore by number
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
			if err := l.quarantine(number); err != nil {
				return fmt.Errorf("quarantining a damaged segment: %w", err)
			}
			size = 0
		}
		l.segments = append(l.segments, &segment{first: number, size: size, sizeKnown: info.Mode().IsRegular()})
	}
	return nil
}

// damaged reports whether a segment can be read and its header is not valid.
func (l *Log) damaged(number uint64) bool {
	r, first, ok, err := openSegmentFile(l.path(number))
	if err != nil {
		return false
	}
	r.close()
	return !ok || first != number
}

// quarantine renames a damaged segment. An empty file takes its place, so that its records count
// as lost, not as missing.
func (l *Log) quarantine(number uint64) error {
	path := l.path(number)
	if err := os.Rename(path, path+quarantineSuffix); err != nil {
		return err
	}
	l.quarantined = append(l.quarantined, fmt.Sprintf("%020d", number)+segmentSuffix+quarantineSuffix)
	empty, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600) //nolint:gosec // in the directory that the user names
	if err != nil {
		return err
	}
	return empty.Close()
}

// recoverTail truncates the last segment after its last intact record, and returns the number of
// that record. It removes segments without an intact record from the end of the log.
func (l *Log) recoverTail() (last uint64, err error) {
	for len(l.segments) > 0 {
		s := l.segments[len(l.segments)-1]
		last, intact, err := l.lastRecord(s)
		if err != nil { // the number of its records is unknown
			return max(l.deferLast(s), last), nil
		}
		if intact > 0 {
			if intact < s.size {
				// If it fails, the next segment's numbers show that the tail is not valid.
				_ = os.Truncate(l.path(s.first), intact)
			}
			s.size = intact
			return last, nil
		}
		if l.deferralNeeding(s.first) != nil { // its records are lost: Restore counts them
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

// lastRecord returns the number of the last intact record in a segment, and the offset of its end.
// If the segment has no intact record, both are 0.
func (l *Log) lastRecord(s *segment) (last uint64, end int64, err error) {
	r, err := openReader(l.path(s.first), s.first)
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

// deferLast defers the newest segment, which cannot be read, and returns the highest number that
// a record in it may have.
func (l *Log) deferLast(s *segment) (last uint64) {
	for _, d := range l.deferrals() {
		if d.needs(s) {
			return d.end - 1 // no record was appended to it since it was deferred
		}
	}
	d := &deferral{from: max(s.first, l.position.saved+1), file: s.first, bytes: max(s.size-headerSize, 0)}
	d.newest = max(s.first, l.position.ledger.newest) // this segment may be missing
	return l.deferUnknownCount(d)
}

// deferNewest defers the newest segments if they are missing, and returns the highest number that
// a record in them may have. last is the highest number in the other segments.
func (l *Log) deferNewest(last uint64) uint64 {
	for _, d := range l.deferrals() {
		last = max(last, d.end-1)
	}
	newest := l.position.ledger.newest
	if newest <= last || l.deferralNeeding(newest) != nil {
		return last
	}
	d := &deferral{from: max(last, l.position.saved) + 1, newest: newest, missing: true}
	if len(l.segments) > 0 {
		d.file = l.last().first
	}
	return l.deferUnknownCount(d)
}

// deferUnknownCount adds a deferral whose number of records is unknown, and returns the highest
// number that they may have. An existing deferral with higher numbers bounds the range, so that no
// record is in two deferrals.
func (l *Log) deferUnknownCount(d *deferral) (last uint64) {
	if before := l.deferralAt(d.from); before != nil {
		return before.end - 1
	}
	d.next, d.end = d.from, max(d.from, d.newest)+maxSegmentRecords
	if bound := l.firstDeferralAfter(d.from, d.end); bound < d.end {
		d.end, d.newest = bound, 0
	}
	l.setDeferrals(append(l.deferrals(), d))
	return d.end - 1
}

// countDeferred moves the bytes of deferred segments from the log to their deferrals, and adds the
// size of missing segments to the log's size.
func (l *Log) countDeferred() {
	for _, d := range l.deferrals() {
		present := int64(0)
		for _, s := range l.segments {
			if d.needs(s) {
				present += s.size
				l.bytes -= max(s.size-headerSize, 0)
			}
		}
		d.absentBytes = max(d.bytes-present, 0)
		l.size += d.absentBytes
	}
	l.bytes = max(l.bytes, 0)
}

// setNewest records the newest segment in the ledger. The record may be lost in a crash of the
// machine. The next process then does not notice if this segment is missing.
func (l *Log) setNewest(number uint64) {
	if p := l.position; p.ledger.newest != number {
		p.ledger.newest, p.ledgerChanged = number, true
	}
}
