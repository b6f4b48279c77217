// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A deferral is a range of records that cannot be read at present: their segment is missing, or
// reading it fails. They are not damaged: the volume may become available again, or a permission
// may be granted. Read skips the range, and its records are kept on the disk. When they can be
// read, [Log.Restore] appends them to the end of the log. The ledger has all deferrals, so that
// the next process knows them.
//
// A segment is named by the number of its first record.
type deferral struct {
	// from and end are the range: Read skips the records from to end-1.
	from, end uint64
	// next is the number of the first record that is not yet restored.
	next uint64
	// file is the segment that contains next. If that is missing, it is the segment before it, or 0.
	file uint64
	// missing is true if the segment that contains next is missing.
	missing bool
	// newest is the last segment of the range if its number of records is unknown. end is an upper
	// bound then. Otherwise newest is 0.
	newest uint64
	// bytes is the disk space of the records that are not yet restored, as far as it is known.
	bytes int64

	// absentBytes is the part of bytes in segments that were missing when the log was opened.
	absentBytes int64
}

// maxSegmentRecords is more than the number of records of any segment. If that number is unknown,
// the log continues with numbers above it.
const maxSegmentRecords = 1 << 32

// pending reports whether records are left to restore.
func (d *deferral) pending() bool { return d.next < d.end }

// countUnknown reports whether the number of records is unknown.
func (d *deferral) countUnknown() bool { return d.newest > 0 }

// count returns the number of records that are left to restore, 0 if it is unknown.
func (d *deferral) count() uint64 {
	if d.countUnknown() {
		return 0
	}
	return d.end - d.next
}

// needs reports whether d needs the segment s.
func (d *deferral) needs(s *segment) bool {
	return d.needsNumber(s.first)
}

// needsNumber reports whether the segment with this first number may contain records of d that
// are left to restore.
func (d *deferral) needsNumber(number uint64) bool {
	// A missing segment may begin before the records of it that are left, and so may a segment
	// that returns later. A segment before the newest one has no records from newest on.
	return d.pending() && number < d.end && (d.newest > d.next || number >= d.newest) && (number > d.file || number == d.file && !d.missing)
}

// Deferred returns the number of parts of the log that are deferred, their records and their disk
// space. Records whose number is unknown are not counted.
func (l *Log) Deferred() (parts int, records uint64, bytes int64) {
	for _, d := range l.deferrals() {
		if d.pending() {
			parts++
			records += d.count()
			bytes += d.bytes
		}
	}
	return parts, records, bytes
}

func (l *Log) deferrals() []*deferral { return l.position.ledger.deferrals }

// setDeferrals replaces the deferrals in the ledger. The next [Log.Save] writes them.
func (l *Log) setDeferrals(to []*deferral) {
	slices.SortFunc(to, func(a, b *deferral) int {
		if a.from < b.from {
			return -1
		}
		return 1
	})
	l.position.ledger.deferrals, l.position.ledgerChanged = to, true
}

// deferralAt returns the deferral that contains a number, nil if there is none.
func (l *Log) deferralAt(number uint64) *deferral {
	for _, d := range l.deferrals() {
		if d.from <= number && number < d.end {
			return d
		}
	}
	return nil
}

// firstDeferralAfter returns the number of the first deferred record after a number, but at most
// limit.
func (l *Log) firstDeferralAfter(number, limit uint64) uint64 {
	for _, d := range l.deferrals() {
		if d.from > number {
			return min(d.from, limit)
		}
	}
	return limit
}

// Defer defers the next records of the log, which cannot be read, up to the end of their segment.
// It returns the number of these records. If it returns an error, the deferral is in effect but
// not yet saved, and nothing is removed from the disk until it is.
func (l *Log) Defer() (records uint64, err error) {
	if l.cursor >= l.next || l.deferralAt(l.cursor) != nil {
		return 0, nil
	}
	d := &deferral{from: l.cursor, next: l.cursor, missing: l.nextMissing}
	d.end = l.firstDeferralAfter(l.cursor, l.firstAvailable())
	if i := l.segmentFor(); i >= 0 {
		s, end := l.segments[i], l.segmentEnd(i)
		d.file, d.end = s.first, l.firstDeferralAfter(l.cursor, end)
		if !l.nextMissing {
			d.bytes = proportion(max(s.size-headerSize, 0), d.end-d.from, end-s.first)
		}
		if end == l.next && l.active != nil && !l.nextMissing {
			_ = l.active.Close() // new records must not follow unreadable ones in the same segment
			l.active = nil
		}
	}
	l.closeReader()
	l.nextMissing = false
	l.bytes = max(l.bytes-d.bytes, 0)
	l.setDeferrals(append(l.deferrals(), d))
	l.cursor = d.end
	return d.count(), l.Save(true)
}

// proportion returns the share n/whole of size, at most size.
func proportion(size int64, n, whole uint64) int64 {
	if n >= whole {
		return size
	}
	return int64(float64(size) * float64(n) / float64(whole))
}

// segmentNumber returns the number in the name of a segment. ok is false if name is not the name
// of a segment.
func segmentNumber(name string) (number uint64, ok bool) {
	digits, isSegment := strings.CutSuffix(name, segmentSuffix)
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, isSegment && err == nil
}

// rescan adds segments that have returned to the directory. It reports whether it found any.
func (l *Log) rescan() (found bool) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		number, ok := segmentNumber(e.Name())
		if !ok || !l.mayHoldUnread(number) || l.hasSegment(number) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		l.insertSegment(&segment{first: number, size: fileSize(info), sizeKnown: info.Mode().IsRegular()})
		found = true
	}
	return found
}

// mayHoldUnread reports whether the segment with this first number may contain records that are
// not yet read.
func (l *Log) mayHoldUnread(number uint64) bool {
	if l.deferralNeeding(number) != nil {
		return true
	}
	return number >= l.cursor && len(l.segments) > 0 && number < l.last().first && l.deferralAt(number) == nil
}

// deferralNeeding returns the deferral that needs the segment with this first number, nil if there
// is none.
func (l *Log) deferralNeeding(number uint64) *deferral {
	for _, d := range l.deferrals() {
		if d.needsNumber(number) {
			return d
		}
	}
	return nil
}

func (l *Log) hasSegment(number uint64) bool {
	return slices.ContainsFunc(l.segments, func(s *segment) bool { return s.first == number })
}

// insertSegment adds a segment that has returned, in the order of the numbers.
func (l *Log) insertSegment(s *segment) {
	at := len(l.segments)
	for at > 0 && l.segments[at-1].first > s.first {
		at--
	}
	l.segments = slices.Insert(l.segments, at, s)
	l.size += s.size
	if d := l.deferralNeeding(s.first); d != nil {
		alreadyCounted := min(d.absentBytes, s.size)
		d.absentBytes -= alreadyCounted
		l.size -= alreadyCounted
		if alreadyCounted == 0 { // its size was unknown
			d.bytes += max(s.size-headerSize, 0)
		}
		return
	}
	l.bytes += max(s.size-headerSize, 0)
}

// fileSize returns the size of a segment, 0 if it is not a regular file.
func fileSize(info fs.FileInfo) int64 {
	if !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// splitDeferrals splits the deferrals so that each present segment has its own, because the
// segments may become readable at different times.
func (l *Log) splitDeferrals() {
	all := l.deferrals()
	for i := 0; i < len(all); i++ { // all grows in the loop
		d := all[i]
		for _, s := range l.segments { // in order: the last segment that begins at or before next determines file
			if d.needsNumber(s.first) && s.first <= d.next {
				d.file, d.missing = s.first, false // the segment has returned
			}
			if !d.pending() || s.first <= d.next || s.first >= d.end {
				continue
			}
			head := proportion(d.bytes, s.first-d.next, d.end-d.next)
			tail := &deferral{from: s.first, next: s.first, end: d.end, file: s.first, bytes: d.bytes - head}
			if d.missing { // no segment before s is present, so that all known bytes are in s and after it
				head, tail.bytes = 0, d.bytes
			}
			if d.countUnknown() {
				tail.newest = max(d.newest, s.first)
				head, tail.bytes = max(d.bytes-s.size, 0), min(d.bytes, s.size)
			}
			tail.absentBytes = min(d.absentBytes, tail.bytes)
			d.absentBytes -= tail.absentBytes
			d.end, d.bytes, d.newest = s.first, head, 0
			all = append(all, tail)
			break
		}
	}
	if len(all) > len(l.deferrals()) {
		l.setDeferrals(all)
	}
}

// errMissing means that the segment with the next records is missing. number is the first of
// them.
type errMissing struct{ number uint64 }

func (e errMissing) Error() string {
	return fmt.Sprintf("reading a segment: the file %020d%s is missing", e.number, segmentSuffix)
}

// Is makes errMissing match [fs.ErrNotExist].
func (e errMissing) Is(target error) bool { return target == fs.ErrNotExist }
