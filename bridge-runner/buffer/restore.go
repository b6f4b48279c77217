// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"io"
	"slices"
)

// Readable reports whether a deferred part of the log can be read again, so that [Log.Restore] has
// records to restore. If ok is false, err is the reason why a part cannot be read.
func (l *Log) Readable() (ok bool, err error) {
	l.rescan()
	l.splitDeferrals()
	for _, d := range l.deferrals() {
		if !d.pending() {
			continue
		}
		r, openErr := l.openDeferral(d)
		if openErr != nil {
			err = openErr
			continue
		}
		_, _, readErr := r.next()
		r.close()
		if readErr == nil || errors.Is(readErr, io.EOF) {
			return true, nil
		}
		err = readErr
	}
	return false, err
}

// openDeferral opens the segment with the next records of a deferral.
func (l *Log) openDeferral(d *deferral) (*reader, error) {
	i := slices.IndexFunc(l.segments, func(s *segment) bool { return s.first == d.file })
	if i < 0 || d.missing {
		return nil, errMissing{d.next}
	}
	r, err := openReader(l.path(d.file), d.file)
	if err != nil {
		return nil, err
	}
	l.setSize(l.segments[i], r)
	r.end = l.segments[i].size
	if info, err := r.file.Stat(); err == nil {
		r.end = max(r.end, info.Size())
	}
	return r, nil
}

// Restore appends deferred records that can be read again to the end of the log, up to about size
// bytes of them. lost is the number of damaged records. An error means that the disk cannot be
// written, or that nothing can be read.
func (l *Log) Restore(size int64) (restored int, lost uint64, err error) {
	l.rescan()
	l.splitDeferrals()
	for _, d := range slices.Clone(l.deferrals()) {
		if !d.pending() {
			continue
		}
		restored, lost, err = l.restore(d, size)
		var unwritten *restoreError
		if restored > 0 || lost > 0 || errors.As(err, &unwritten) {
			break
		}
	}
	l.removeReleased()
	return restored, lost, err
}

// restoreError means that the records were read but could not be appended.
type restoreError struct{ error }

func (e *restoreError) Unwrap() error { return e.error }

// restore restores records of one deferral.
func (l *Log) restore(d *deferral, size int64) (restored int, lost uint64, err error) {
	r, err := l.openDeferral(d)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	var records [][]byte
	next, stored := d.next, int64(0)
	for stored < size {
		var number uint64
		var body []byte
		if number, body, err = r.next(); err != nil || number >= d.end {
			break
		}
		if number < next {
			continue
		}
		lost += number - next
		next = number + 1
		records = append(records, slices.Clone(body))
		stored += recordHeaderSize + int64(len(body))
	}
	atEnd := stored < size && (err == nil || errors.Is(err, io.EOF))
	if err != nil && !atEnd && len(records) == 0 {
		return 0, 0, err
	}
	if len(records) > 0 {
		// The records replace the originals, which are removed when all of them are restored, so
		// they may exceed the limit. The log may already exceed it because of segments that were
		// missing.
		if _, err := l.appendWithin(records, max(l.maxBytes, l.size)+stored+2*headerSize); err != nil {
			return 0, 0, &restoreError{err}
		}
	}
	d.next = next
	l.position.ledgerChanged = true
	d.bytes = max(d.bytes-stored, 0)
	if atEnd {
		lost += l.finishDeferredSegment(d, r.torn || err == nil)
	}
	return len(records), lost, nil
}

// finishDeferredSegment is called when the segment at d.next is read to its end. It returns the
// number of its records that are lost.
func (l *Log) finishDeferredSegment(d *deferral, torn bool) (lost uint64) {
	switch {
	case !d.pending():
	case d.countUnknown() && d.file >= d.newest: // it was the last segment of the range
		if torn && d.next == max(d.from, d.newest) {
			lost = 1 // at least: the number of its records is unknown
		}
	case d.countUnknown() && torn && d.next < d.newest: // as in the default case, but the newest segment is missing, too
		lost = d.newest - d.next
		d.next, d.missing = d.newest, true
		return lost
	case !torn, d.countUnknown(): // the other records are in another segment, which is missing
		d.missing = true
		return 0
	default:
		lost = d.end - d.next
	}
	d.next, d.bytes = d.end, 0
	l.size -= d.absentBytes
	d.absentBytes = 0
	return lost
}

// pruneDeferrals deletes deferrals that are fully restored and whose range is released.
func (l *Log) pruneDeferrals() {
	finished := func(d *deferral) bool { return !d.pending() && l.released+1 >= d.end }
	if slices.ContainsFunc(l.deferrals(), finished) {
		l.setDeferrals(slices.DeleteFunc(slices.Clone(l.deferrals()), finished))
	}
}

// oldestDeferral returns the first deferral with records that are left to restore, nil if there is
// none.
func (l *Log) oldestDeferral() *deferral {
	l.splitDeferrals()
	for _, d := range l.deferrals() {
		if d.pending() {
			return d
		}
	}
	return nil
}

// dropDeferral drops the records of a deferral, and returns their number, 0 if it is unknown.
func (l *Log) dropDeferral(d *deferral) (dropped uint64) {
	dropped = d.count()
	d.next, d.bytes = d.end, 0
	l.size -= d.absentBytes
	d.absentBytes = 0
	l.position.ledgerChanged = true
	l.removeReleased()
	return dropped
}
