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

// A deferral is a run of records that cannot be read for now: their segment is missing,
// or reading it fails. That is no damage: a volume comes back, a permission is granted
// again. Read passes over the run, nothing of it is removed, and [Log.Restore] appends
// its records behind all others when they can be read. The ledger has all deferrals, so
// that the next process goes on with them.
type deferral struct {
	from, behind uint64 // Read passes over these numbers, behind excluded
	next         uint64 // the first that was not restored
	file         uint64 // number of the segment that holds next; if it is missing, of the one before it, or 0
	missing      bool   // there is no such segment
	newest       uint64 // number of the last of its segments, if behind is a guess: it is not known how many records that has; else 0
	bytes        int64  // what the records that are left take, as far as is known

	absent int64 // of bytes, so much is in segments that were not there when the log was opened
}

// openRun is more records than any segment has: numbers go on behind it if it is not known
// how many a segment has.
const openRun = 1 << 32

func (d *deferral) pending() bool { return d.next < d.behind }

// open reports whether it is not known how many records there are.
func (d *deferral) open() bool { return d.newest > 0 }

// count is how many records are left, as far as is known.
func (d *deferral) count() uint64 {
	if d.open() {
		return 0
	}
	return d.behind - d.next
}

// needs reports whether d needs the segment s.
func (d *deferral) needs(s *segment) bool {
	return d.wants(s.first)
}

// wants reports whether the segment that begins with a number has records of d.
func (d *deferral) wants(number uint64) bool {
	// A segment that is missing may begin before the records that are left of it, and so
	// may another one than the first that comes back. One before the newest has nothing
	// from the newest on.
	return d.pending() && number < d.behind && (d.newest > d.next || number >= d.newest) && (number > d.file || number == d.file && !d.missing)
}

// Deferred is how much of the log cannot be read for now and is kept for later.
// The number of records is 0 if it is not known.
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

// setDeferrals changes the ledger. It is saved with the position.
func (l *Log) setDeferrals(to []*deferral) {
	slices.SortFunc(to, func(a, b *deferral) int {
		if a.from < b.from {
			return -1
		}
		return 1
	})
	l.position.ledger.deferrals, l.position.changed = to, true
}

// deferralAt returns the deferral that has a number, nil if there is none.
func (l *Log) deferralAt(number uint64) *deferral {
	for _, d := range l.deferrals() {
		if d.from <= number && number < d.behind {
			return d
		}
	}
	return nil
}

// firstDeferral is the number of the first deferred record behind a number, at most most.
func (l *Log) firstDeferral(behind, most uint64) uint64 {
	for _, d := range l.deferrals() {
		if d.from > behind {
			return min(d.from, most)
		}
	}
	return most
}

// Defer puts off what is next in the log, and cannot be read, up to the end of its
// segment. It returns how many records that are. An error says that the disk does not
// know yet: then nothing is removed from it until it does.
func (l *Log) Defer() (records uint64, err error) {
	if l.cursor >= l.next || l.deferralAt(l.cursor) != nil {
		return 0, nil
	}
	d := &deferral{from: l.cursor, next: l.cursor, missing: l.missing}
	d.behind = l.firstDeferral(l.cursor, l.after())
	if i := l.holder(); i >= 0 {
		s, end := l.segments[i], l.end(i)
		d.file, d.behind = s.first, l.firstDeferral(l.cursor, end)
		if !l.missing {
			d.bytes = part(max(s.size-headerSize, 0), d.behind-d.from, end-s.first)
		}
		if end == l.next && l.active != nil && !l.missing {
			_ = l.active.Close() // what comes is not to be written behind what cannot be read
			l.active = nil
		}
	}
	l.closeReader()
	l.missing = false
	l.bytes = max(l.bytes-d.bytes, 0)
	l.setDeferrals(append(l.deferrals(), d))
	l.cursor = d.behind
	return d.count(), l.Save(true)
}

// part is n of whole parts of size.
func part(size int64, n, whole uint64) int64 {
	if n >= whole {
		return size
	}
	return int64(float64(size) * float64(n) / float64(whole))
}

// segmentNumber returns the number that the name of a segment has.
func segmentNumber(name string) (number uint64, ok bool) {
	digits, isSegment := strings.CutSuffix(name, segmentSuffix)
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, isSegment && err == nil
}

// rescan takes in segments that have come back. It reports whether there are any.
func (l *Log) rescan() (found bool) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		number, ok := segmentNumber(e.Name())
		if !ok || !l.wants(number) || l.known(number) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		l.insert(&segment{first: number, size: fileSize(info), sized: info.Mode().IsRegular()})
		found = true
	}
	return found
}

// wants reports whether the segment that begins with a number may have records that are
// still to be read.
func (l *Log) wants(number uint64) bool {
	if l.wanting(number) != nil {
		return true
	}
	return number >= l.cursor && len(l.segments) > 0 && number < l.last().first && l.deferralAt(number) == nil
}

// wanting returns the deferral that wants the segment that begins with a number.
func (l *Log) wanting(number uint64) *deferral {
	for _, d := range l.deferrals() {
		if d.wants(number) {
			return d
		}
	}
	return nil
}

func (l *Log) known(number uint64) bool {
	return slices.ContainsFunc(l.segments, func(s *segment) bool { return s.first == number })
}

func (l *Log) insert(s *segment) {
	at := len(l.segments)
	for at > 0 && l.segments[at-1].first > s.first {
		at--
	}
	l.segments = slices.Insert(l.segments, at, s)
	l.size += s.size
	if d := l.wanting(s.first); d != nil {
		had := min(d.absent, s.size)
		d.absent -= had
		l.size -= had
		if had == 0 { // nothing was known of it
			d.bytes += max(s.size-headerSize, 0)
		}
		return
	}
	l.bytes += max(s.size-headerSize, 0)
}

// fileSize is what a segment takes. A directory in its place takes nothing.
func fileSize(info fs.FileInfo) int64 {
	if !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// splitDeferrals makes one deferral of each segment, since one may be readable before
// another one is.
func (l *Log) splitDeferrals() {
	all := l.deferrals()
	for i := 0; i < len(all); i++ { // also over what is added
		d := all[i]
		for _, s := range l.segments { // the last that begins before next counts
			if d.wants(s.first) && s.first <= d.next {
				d.file, d.missing = s.first, false // it is back
			}
			if !d.pending() || s.first <= d.next || s.first >= d.behind {
				continue
			}
			head := part(d.bytes, s.first-d.next, d.behind-d.next)
			tail := &deferral{from: s.first, next: s.first, behind: d.behind, file: s.first, bytes: d.bytes - head}
			if d.missing { // what there is of the bytes is in s and behind it
				head, tail.bytes = 0, d.bytes
			}
			if d.open() {
				tail.newest = max(d.newest, s.first)
				head, tail.bytes = max(d.bytes-s.size, 0), min(d.bytes, s.size)
			}
			tail.absent = min(d.absent, tail.bytes)
			d.absent -= tail.absent
			d.behind, d.bytes, d.newest = s.first, head, 0
			all = append(all, tail)
			break
		}
	}
	if len(all) > len(l.deferrals()) {
		l.setDeferrals(all)
	}
}

// errMissing says that there is no segment with the next records.
type errMissing struct{ number uint64 }

func (e errMissing) Error() string {
	return fmt.Sprintf("reading a segment: the file %020d%s is missing", e.number, segmentSuffix)
}

// Is has it be an [fs.ErrNotExist].
func (e errMissing) Is(target error) bool { return target == fs.ErrNotExist }
