// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package buffer keeps records on disk, in order, until they are released. A log is a
// directory of segments: records are appended to the last segment, and read and released
// from the first one.
//
// It promises:
//   - When [Log.Append] returns nil, its records are on the disk. It makes one write and
//     one fsync for all of them. The records are read again however the process ends.
//   - A torn tail, left by a crash, contains only records that Append had not yet
//     confirmed. Damage anywhere else loses only the records that it hit: [Log.Read] skips
//     and counts them, and continues with the next intact record.
//   - Records that cannot be read because their file is missing or the disk fails are not
//     treated as damaged. This process and the next ones keep them until they can be read.
//     Later records can be read meanwhile ([Log.Defer], [Log.Restore]).
//   - A failed write changes nothing: the same records can be appended again.
//   - The log uses no more disk space than its limit. Quarantined segments, in which
//     nothing can be read, are not counted.
//
// The position, which is the number of the last released record, is written without fsync.
// After a crash of the machine, released records may therefore be read again: delivery is
// at least once.
//
// The package knows nothing about messages. A Log is not safe for concurrent use, so the
// package has no locks.
package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const (
	// MaxRecord is the largest size of a record, in bytes.
	MaxRecord = 1 << 30
	// maxSegment and minSegment bound the size of a segment that contains more than one
	// batch, in bytes. A segment is removed when all its records are released.
	maxSegment = 16 << 20
	minSegment = 256 << 10
	// maxKeptBatch is the largest write buffer that is kept for the next batch, in bytes.
	maxKeptBatch = 2 << 20
	// segmentsPerLog is the intended number of segments in a full log. Each of them becomes
	// free separately, so that a full log has room again early.
	segmentsPerLog = 16

	segmentSuffix    = ".log"
	quarantineSuffix = ".damaged"
)

// ErrFull means that the log, or the disk, has no room.
var ErrFull = errors.New("no room")

// ErrTooLarge is an [ErrFull] that persists even if all records are released: the batch does
// not fit into an empty log.
var ErrTooLarge = fmt.Errorf("%w for messages of this size", ErrFull)

// Log is an open log.
type Log struct {
	dir string
	// maxBytes is the limit of the log's disk space.
	maxBytes int64
	// segmentSize is the size, in bytes, that a segment exceeds only if it has a single batch.
	segmentSize int64
	// lockFile is locked while the log is open.
	lockFile *os.File
	position *position

	// segments are the log's files, oldest first.
	segments []*segment
	// active is the last segment, open for writing. If it is nil, the next batch creates a segment.
	active *os.File
	// salt is the active segment's salt.
	salt uint32
	// batch is the write buffer.
	batch []byte

	// next is the number of the next record to be appended. Numbers start at 1.
	next uint64
	// released is the number of the last released record.
	released uint64
	// firstAtOpen is the number of the first unreleased record when the log was opened.
	firstAtOpen uint64
	// size is the disk space of all segments, in bytes. It includes missing segments that are
	// deferred.
	size int64
	// bytes is the disk space of the unreleased records that are not deferred.
	bytes int64
	// quarantined are the names of the files that were quarantined when the log was opened.
	quarantined []string

	reader *reader
	// readerFirst is the number of the first record of the reader's segment.
	readerFirst uint64
	// cursor is the number of the next record to read.
	cursor uint64
	// deductedUpTo is the number up to which bytes was reduced by the records that an earlier
	// process had released.
	deductedUpTo uint64
	// nextMissing is true if the segment with the next record was missing at the last attempt to
	// read it.
	nextMissing bool

	// sync is (*os.File).Sync. Tests replace it.
	sync func(*os.File) error
}

// segment is a file of the log.
type segment struct {
	// first is the number of the segment's first record.
	first uint64
	// size is the length of the segment's valid part, in bytes.
	size int64
	// sizeKnown is false if the file was not a regular file when it was found. Opening the segment
	// sets it.
	sizeKnown bool
}

// Open opens the log in dir, and creates it if necessary. The log uses up to maxBytes of disk
// space.
func Open(dir string, maxBytes int64) (*Log, error) {
	l := &Log{dir: dir, maxBytes: maxBytes, segmentSize: min(max(maxBytes/segmentsPerLog, minSegment), maxSegment), sync: (*os.File).Sync}
	if err := makeDirectory(dir, syncDirectory); err != nil {
		return nil, fmt.Errorf("opening the buffer: %w", err)
	}
	if err := l.open(); err != nil {
		l.closeFiles()
		return nil, err
	}
	return l, nil
}

func (l *Log) open() error {
	var err error
	if l.lockFile, err = os.OpenFile(filepath.Join(l.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("opening the buffer: %w", err)
	}
	if err := lock(l.lockFile); err != nil {
		return fmt.Errorf("the buffer in %s is in use by another process: %w; wait until that process has ended", l.dir, err)
	}
	if l.position, err = openPosition(l.dir); err != nil {
		return err
	}
	if err := l.findSegments(); err != nil {
		return err
	}
	newestPresent := l.hasSegment(l.position.ledger.newest)
	last, err := l.recoverTail()
	if err != nil {
		return err
	}
	if !newestPresent {
		last = l.deferNewest(last)
	}
	l.released = l.position.saved
	if len(l.segments) > 0 && (!l.position.valid || !l.position.ledger.valid) { // otherwise the position is exact, and the records of missing segments are not released
		l.released = max(l.released, l.segments[0].first-1)
	}
	l.next = max(last, l.released) + 1
	for _, d := range l.deferrals() {
		l.next = max(l.next, d.end)
	}
	l.cursor, l.firstAtOpen = l.released+1, l.released+1
	for _, s := range l.segments {
		l.size += s.size
		l.bytes += max(s.size-headerSize, 0)
	}
	l.countDeferred()
	l.setNewest(0)
	if len(l.segments) > 0 {
		l.setNewest(l.segments[len(l.segments)-1].first)
	}
	l.removeReleased()
	return nil
}

func (l *Log) path(first uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%020d", first)+segmentSuffix)
}

// Quarantined returns the names of the files that were quarantined when the log was opened,
// because nothing in them could be read. The user may inspect and delete them.
func (l *Log) Quarantined() []string { return l.quarantined }

// Records returns the number of records that are not released. Deferred records whose number
// is unknown are not counted.
func (l *Log) Records() uint64 {
	n := l.next - 1 - l.released
	for _, d := range l.deferrals() {
		if from := max(d.from, l.released+1); from < d.end {
			n -= d.end - from
		}
		if d.pending() {
			n += d.count()
		}
	}
	return n
}

// BacklogBytes returns the disk space of the records that are not released, in bytes.
func (l *Log) BacklogBytes() int64 {
	_, _, deferred := l.Deferred()
	return l.bytes + deferred
}

// DiskUsage returns the disk space of the whole log, in bytes.
func (l *Log) DiskUsage() int64 { return l.size }

// RecordSize returns the disk space of a record with a body of the given size, in bytes.
func RecordSize(body int) int64 { return recordHeaderSize + int64(body) }

// Next returns the number of the next record to be appended.
func (l *Log) Next() uint64 { return l.next }

// Cursor returns the number of the next record to be read. It equals [Log.Next] if all records
// are read.
func (l *Log) Cursor() uint64 { return l.cursor }

// Release marks all records up to number as released. size is the sum of their disk space, in
// bytes.
func (l *Log) Release(number uint64, size int64) {
	if number > l.released {
		l.released = min(number, l.next-1)
		l.bytes = max(l.bytes-size, 0)
	}
	l.cursor = max(l.cursor, l.released+1)
	l.removeReleased()
}

// removeReleased removes the segments whose records are all released.
func (l *Log) removeReleased() {
	l.pruneDeferrals()
	if l.released+1 == l.next {
		l.bytes = 0
	}
	var unneeded []*segment
	for i, s := range l.segments {
		if l.segmentEnd(i) > l.released+1 {
			break
		}
		if l.removable(i) {
			unneeded = append(unneeded, s)
		}
	}
	if len(unneeded) == 0 {
		return
	}
	if last := l.last(); last == unneeded[len(unneeded)-1] {
		if l.active != nil {
			_ = l.active.Close() // the segment is deleted below
			l.active = nil
		}
		l.setNewest(0)
	}
	// Save first: unless the position shows that all records of a deleted segment were
	// released, the next process treats the segment as missing.
	if err := l.Save(true); err != nil && (l.position.ledgerChanged || !errors.Is(err, ErrFull)) {
		return
	}
	for _, s := range unneeded {
		l.removeSegment(s)
	}
}

// removable reports whether segment i, whose records are all released, can be removed: no
// deferral needs it, and it is not the active segment with room for more batches.
func (l *Log) removable(i int) bool {
	s := l.segments[i]
	if slices.ContainsFunc(l.deferrals(), func(d *deferral) bool { return d.needs(s) }) {
		return false
	}
	return i+1 < len(l.segments) || l.active == nil || s.size > l.segmentSize/2
}

func (l *Log) removeSegment(s *segment) {
	if l.reader != nil && l.readerFirst == s.first {
		l.closeReader()
	}
	_ = os.Remove(l.path(s.first)) //nolint:gosec // in the directory that the user names; if it fails, the next start tries again
	l.size -= s.size
	l.segments = slices.DeleteFunc(l.segments, func(other *segment) bool { return other == s })
}

// DropOldest makes room by dropping the oldest segment. dropped is the number of its records
// that were not read yet. A segment that cannot be read is dropped only if no other one is left
// except the active segment. ok is false if no disk space became free.
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
	s, end := l.segments[i], l.segmentEnd(i)
	if l.active != nil && s == l.last() {
		_ = l.active.Close() // the segment is dropped
		l.active = nil
	}
	for l.cursor < end {
		if d := l.deferralAt(l.cursor); d != nil {
			l.cursor = d.end
			continue
		}
		to := l.firstDeferralAfter(l.cursor, end)
		dropped, l.cursor = dropped+to-l.cursor, to
	}
	l.Release(end-1, 0)
	l.countBytes()
	return dropped, l.size < before
}

// countBytes recomputes bytes from the sizes of the segments that no deferral needs.
func (l *Log) countBytes() {
	l.bytes = 0
	for _, s := range l.segments {
		if !slices.ContainsFunc(l.deferrals(), func(d *deferral) bool { return d.needs(s) }) {
			l.bytes += max(s.size-headerSize, 0)
		}
	}
}

// Save writes the position. If synced is true, it survives a crash of the machine, otherwise
// only a crash of the process.
func (l *Log) Save(synced bool) error {
	if err := l.position.save(l.released, synced); err != nil {
		return writeError(err)
	}
	return nil
}

// Close saves the position, closes all files and unlocks the directory. A log without unreleased
// records leaves no segments.
func (l *Log) Close() error {
	if l.active != nil && l.released+1 == l.next {
		_ = l.active.Close() // all its records are released
		l.active = nil
		l.removeReleased()
	}
	err := l.Save(true)
	l.closeFiles()
	return err
}

// closeFiles closes all files without saving the position.
func (l *Log) closeFiles() {
	l.closeReader()
	if l.active != nil {
		_ = l.active.Close() // every write was synced
	}
	if l.position != nil {
		_ = l.position.file.Close() // save reports write errors
	}
	if l.lockFile != nil {
		_ = l.lockFile.Close() // this unlocks
	}
}
