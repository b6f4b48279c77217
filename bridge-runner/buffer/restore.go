// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"io"
	"slices"
)

// Readable reports whether a part of what was deferred can be read again, so that
// [Log.Restore] has something to do. An error says why a part cannot.
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

// openDeferral opens the segment with what is next of a deferral.
func (l *Log) openDeferral(d *deferral) (*reader, error) {
	i := slices.IndexFunc(l.segments, func(s *segment) bool { return s.first == d.file })
	if i < 0 || d.missing {
		return nil, errMissing{d.next}
	}
	r, err := openSegment(l.path(d.file), d.file)
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

// Restore appends records that were deferred and can be read again behind all others, up
// to about size bytes of them. lost is how many are damaged. An error says that the disk
// cannot be written, or that nothing can be read.
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
	l.remove()
	return restored, lost, err
}

// restoreError says that what was read could not be appended.
type restoreError struct{ error }

func (e *restoreError) Unwrap() error { return e.error }

func (l *Log) restore(d *deferral, size int64) (restored int, lost uint64, err error) {
	r, err := l.openDeferral(d)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	var records [][]byte
	next, taken := d.next, int64(0)
	for taken < size {
		var number uint64
		var body []byte
		if number, body, err = r.next(); err != nil || number >= d.behind {
			break
		}
		if number < next {
			continue
		}
		lost += number - next
		next = number + 1
		records = append(records, slices.Clone(body))
		taken += recordHeader + int64(len(body))
	}
	ended := taken < size && (err == nil || errors.Is(err, io.EOF))
	if err != nil && !ended && len(records) == 0 {
		return 0, 0, err
	}
	if len(records) > 0 {
		// They take the room of what they replace, which goes when all of it is here. The
		// log may be larger than it may be already, by segments that were missing.
		if _, err := l.append(records, max(l.max, l.size)+taken+2*headerSize); err != nil {
			return 0, 0, &restoreError{err}
		}
	}
	d.next = next
	l.position.changed = true
	d.bytes = max(d.bytes-taken, 0)
	if ended {
		lost += l.endDeferral(d, r.torn || err == nil)
	}
	return len(records), lost, nil
}

// endDeferral notes that all of d's segment is read, and returns how many records of it
// are lost.
func (l *Log) endDeferral(d *deferral, torn bool) (lost uint64) {
	switch {
	case !d.pending():
	case d.open() && d.file >= d.newest: // there is no other segment
		if torn && d.next == max(d.from, d.newest) {
			lost = 1 // at least: it is not known how many there were
		}
	case d.open() && torn && d.next < d.newest: // as below, but the newest segment is missing, too
		lost = d.newest - d.next
		d.next, d.missing = d.newest, true
		return lost
	case !torn, d.open(): // the rest is in another segment, which is missing
		d.missing = true
		return 0
	default:
		lost = d.behind - d.next
	}
	d.next, d.bytes = d.behind, 0
	l.size -= d.absent
	d.absent = 0
	return lost
}

// forgetDeferrals forgets those that need not be passed over any more.
func (l *Log) forgetDeferrals() {
	over := func(d *deferral) bool { return !d.pending() && l.released+1 >= d.behind }
	if slices.ContainsFunc(l.deferrals(), over) {
		l.setDeferrals(slices.DeleteFunc(slices.Clone(l.deferrals()), over))
	}
}

// oldestDeferral returns the first deferral of which something is left, nil if there is
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

// dropDeferral gives up a deferral, and returns how many records that are.
func (l *Log) dropDeferral(d *deferral) (dropped uint64) {
	dropped = d.count()
	d.next, d.bytes = d.behind, 0
	l.size -= d.absent
	d.absent = 0
	l.position.changed = true
	l.remove()
	return dropped
}
