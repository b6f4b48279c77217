// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package buffer keeps records on disk, in order, until they are released: a log of
// segments, which is written at its end and read and released from its beginning.
//
// It promises:
//   - What [Log.Append] has taken is on the disk when it returns, all of it by one
//     write and one fsync, and is read again after whatever ends the process.
//   - A tail that a crash has torn costs at most what Append had not yet taken.
//     Damage anywhere else costs the records that it hit: [Log.Read] passes over
//     them, counts them, and goes on with the next one that is whole.
//   - Records that cannot be read are not damaged: their file is missing, or the disk
//     fails. They are kept, also by the next process, until they can be read. Those
//     behind them can be read meanwhile ([Log.Defer], [Log.Restore]).
//   - A failed write changes nothing: the same records can be appended again.
//   - It takes no more of the disk than it was given, but for segments that it has
//     set aside because nothing in them can be read.
//
// The position up to which records are released is written without fsync, so that a
// crash of the machine can bring some again: at least once.
//
// It knows nothing of messages. A Log is for one goroutine.
package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const (
	// MaxRecord is the largest record in bytes.
	MaxRecord = 1 << 30
	// maxSegment and minSegment bound a segment that holds more than one batch; one
	// is removed when all of it is released.
	maxSegment = 16 << 20
	minSegment = 256 << 10
	// keepBatch is the largest buffer for batches that is kept.
	keepBatch = 2 << 20
	// segments is how many fill a log, so that a little of it comes free early.
	segments = 16

	segmentSuffix = ".log"
	asideSuffix   = ".damaged"
)

// ErrFull says that the log, or the disk, has no room.
var ErrFull = errors.New("no room")

// ErrTooLarge is an [ErrFull] that no release ends: an empty log has no room either.
var ErrTooLarge = fmt.Errorf("%w for so much at once", ErrFull)

// Log is an open log.
type Log struct {
	dir        string
	max, piece int64
	lock       *os.File
	position   *position

	segments []*segment // oldest first
	active   *os.File   // the last one, to write to; nil: the next batch begins one
	salt     uint32     // of the active one
	batch    []byte

	next     uint64 // number of the next record
	released uint64 // number of the last one released
	first    uint64 // number of the first one that was there when the log was opened
	size     int64  // of all segments
	bytes    int64  // of what is not released
	aside    []string

	reader  *reader
	reading uint64 // number of the first record of the reader's segment
	cursor  uint64 // number of the next record to read
	counted uint64 // up to here records that were released before are taken off bytes
	missing bool   // the segment with the next record, as far as is known

	sync func(*os.File) error
}

// segment is a file.
type segment struct {
	first uint64
	size  int64 // as far as it is valid
	sized bool  // size is known: it was a file when it was found
}

// Open opens the log in a directory, or makes one, that takes up to maxBytes of the
// disk.
func Open(dir string, maxBytes int64) (*Log, error) {
	l := &Log{dir: dir, max: maxBytes, piece: min(max(maxBytes/segments, minSegment), maxSegment), sync: (*os.File).Sync}
	if err := makeDirectory(dir, syncDirectory); err != nil {
		return nil, fmt.Errorf("opening the buffer: %w", err)
	}
	if err := l.open(); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *Log) open() error {
	var err error
	if l.lock, err = os.OpenFile(filepath.Join(l.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("opening the buffer: %w", err)
	}
	if err := lock(l.lock); err != nil {
		return fmt.Errorf("the buffer in %s is in use by another process: %w", l.dir, err)
	}
	if l.position, err = openPosition(l.dir); err != nil {
		return err
	}
	if err := l.find(); err != nil {
		return err
	}
	here := l.known(l.position.ledger.newest)
	last, err := l.recover()
	if err != nil {
		return err
	}
	if !here {
		last = l.deferNewest(last)
	}
	l.released = l.position.saved
	if len(l.segments) > 0 && (!l.position.known || !l.position.ledger.valid) { // else what is missing is not released
		l.released = max(l.released, l.segments[0].first-1)
	}
	l.next = max(last, l.released) + 1
	for _, d := range l.deferrals() {
		l.next = max(l.next, d.behind)
	}
	l.cursor, l.first = l.released+1, l.released+1
	for _, s := range l.segments {
		l.size += s.size
		l.bytes += max(s.size-headerSize, 0)
	}
	l.countDeferred()
	l.setNewest(0)
	if len(l.segments) > 0 {
		l.setNewest(l.segments[len(l.segments)-1].first)
	}
	l.remove()
	return nil
}

func (l *Log) path(first uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%020d", first)+segmentSuffix)
}

// SetAside are the names of the files in which nothing could be read when the log was
// opened. They can be looked at and deleted.
func (l *Log) SetAside() []string { return l.aside }

// Messages is how many records are not released, as far as that is known of deferred
// ones.
func (l *Log) Messages() uint64 {
	n := l.next - 1 - l.released
	for _, d := range l.deferrals() {
		if from := max(d.from, l.released+1); from < d.behind {
			n -= d.behind - from
		}
		if d.pending() {
			n += d.count()
		}
	}
	return n
}

// Bytes is what the records that are not released take of the disk.
func (l *Log) Bytes() int64 {
	_, _, deferred := l.Deferred()
	return l.bytes + deferred
}

// Taken is what the log takes of the disk.
func (l *Log) Taken() int64 { return l.size }

// Size is what a record of so many bytes takes of the disk.
func Size(body int) int64 { return recordHeader + int64(body) }

// Next is the number that the next record appended gets.
func (l *Log) Next() uint64 { return l.next }

// Cursor is the number of the next record to be read: [Log.Next] where all are read.
func (l *Log) Cursor() uint64 { return l.cursor }

// Release ends the keeping of all records up to this number, of so many bytes.
func (l *Log) Release(number uint64, size int64) {
	if number > l.released {
		l.released = min(number, l.next-1)
		l.bytes = max(l.bytes-size, 0)
	}
	l.cursor = max(l.cursor, l.released+1)
	l.remove()
}

// remove removes the segments of which all is released.
func (l *Log) remove() {
	l.forgetDeferrals()
	if l.released+1 == l.next {
		l.bytes = 0
	}
	var over []*segment
	for i, s := range l.segments {
		if l.end(i) > l.released+1 {
			break
		}
		if l.isOver(i) {
			over = append(over, s)
		}
	}
	if len(over) == 0 {
		return
	}
	if last := l.last(); last == over[len(over)-1] {
		if l.active != nil {
			_ = l.active.Close() // nothing of it is wanted
			l.active = nil
		}
		l.setNewest(0)
	}
	// The next process takes a segment that is not there for a missing one, unless it
	// knows that all of it was released.
	if err := l.Save(true); err != nil && (l.position.changed || !errors.Is(err, ErrFull)) {
		return
	}
	for _, s := range over {
		l.removeSegment(s)
	}
}

// isOver reports whether a segment of which all is released is not needed, nor to be
// written to.
func (l *Log) isOver(i int) bool {
	s := l.segments[i]
	if slices.ContainsFunc(l.deferrals(), func(d *deferral) bool { return d.needs(s) }) {
		return false
	}
	return i+1 < len(l.segments) || l.active == nil || s.size > l.piece/2
}

func (l *Log) removeSegment(s *segment) {
	if l.reader != nil && l.reading == s.first {
		l.closeReader()
	}
	_ = os.Remove(l.path(s.first)) //nolint:gosec // in the directory that the user names; where it fails, the next start tries again
	l.size -= s.size
	l.segments = slices.DeleteFunc(l.segments, func(other *segment) bool { return other == s })
}

// DropOldest makes room by dropping the oldest segment, and returns how many records
// are dropped with it that were not read yet. One that cannot be read goes only if there
// is no other but the one that is written to. ok is false if there is none.
func (l *Log) DropOldest() (dropped uint64, ok bool) {
	before := l.size
	i := slices.IndexFunc(l.segments, func(s *segment) bool {
		return !slices.ContainsFunc(l.deferrals(), func(d *deferral) bool { return d.needs(s) })
	})
	if i < 0 || l.active != nil && i == len(l.segments)-1 {
		if d := l.oldestDeferral(); d != nil {
			return l.dropDeferral(d), l.size < before
		}
	}
	if i < 0 {
		return 0, false
	}
	s, behind := l.segments[i], l.end(i)
	if l.active != nil && s == l.last() {
		_ = l.active.Close() // nothing of it is wanted
		l.active = nil
	}
	for l.cursor < behind {
		if d := l.deferralAt(l.cursor); d != nil {
			l.cursor = d.behind
			continue
		}
		to := l.firstDeferral(l.cursor, behind)
		dropped, l.cursor = dropped+to-l.cursor, to
	}
	l.Release(behind-1, 0)
	l.countBytes()
	return dropped, l.size < before
}

// countBytes counts what the segments have, after some of them were dropped.
func (l *Log) countBytes() {
	l.bytes = 0
	for _, s := range l.segments {
		if !slices.ContainsFunc(l.deferrals(), func(d *deferral) bool { return d.needs(s) }) {
			l.bytes += max(s.size-headerSize, 0)
		}
	}
}

// Save writes how far records are released. Synced, that outlasts a crash of the
// machine, else one of the process.
func (l *Log) Save(synced bool) error {
	if err := l.position.save(l.released, synced); err != nil {
		return wrap(err)
	}
	return nil
}

// Close saves the position and ends the use of the directory.
func (l *Log) Close() error {
	if l.active != nil && l.released+1 == l.next {
		_ = l.active.Close() // nothing of it is wanted
		l.active = nil
		l.remove()
	}
	err := l.Save(true)
	l.release()
	return err
}

// release closes all files.
func (l *Log) release() {
	l.closeReader()
	if l.active != nil {
		_ = l.active.Close() // it is synced
	}
	if l.position != nil {
		_ = l.position.file.Close() // what is written is written
	}
	if l.lock != nil {
		_ = l.lock.Close() // this unlocks
	}
}
