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
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

	sync func(*os.File) error
}

// segment is a file.
type segment struct {
	first uint64
	size  int64 // as far as it is valid
}

// Open opens the log in a directory, or makes one, that takes up to maxBytes of the
// disk.
func Open(dir string, maxBytes int64) (*Log, error) {
	l := &Log{dir: dir, max: maxBytes, piece: min(max(maxBytes/segments, minSegment), maxSegment), sync: (*os.File).Sync}
	if err := os.MkdirAll(dir, 0o700); err != nil {
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
	last, err := l.recover()
	if err != nil {
		return err
	}
	l.released = l.position.saved
	if len(l.segments) > 0 {
		l.released = max(l.released, l.segments[0].first-1)
	}
	l.next = max(last, l.released) + 1
	l.cursor, l.first = l.released+1, l.released+1
	for _, s := range l.segments {
		l.size += s.size
		l.bytes += s.size - headerSize
	}
	l.remove()
	return nil
}

// find lists the segments, and sets aside those that cannot be read.
func (l *Log) find() error {
	entries, err := os.ReadDir(l.dir) // in the order of their names, which is that of their numbers
	if err != nil {
		return fmt.Errorf("opening the buffer: %w", err)
	}
	for _, e := range entries {
		name, isSegment := strings.CutSuffix(e.Name(), segmentSuffix)
		number, err := strconv.ParseUint(name, 10, 64)
		if !isSegment || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("opening the buffer: %w", err)
		}
		r, first, ok, err := openReader(l.path(number))
		if err != nil {
			return err
		}
		r.close()
		if !ok || first != number {
			if info.Size() > headerSize { // else a crash came before its first record
				l.aside = append(l.aside, e.Name()+asideSuffix)
				if err := os.Rename(l.path(number), l.path(number)+asideSuffix); err != nil {
					return fmt.Errorf("setting a damaged segment aside: %w", err)
				}
			} else if err := os.Remove(l.path(number)); err != nil {
				return fmt.Errorf("removing an empty segment: %w", err)
			}
			continue
		}
		l.segments = append(l.segments, &segment{first: number, size: info.Size()})
	}
	return nil
}

// recover cuts off what a crash has left behind the last whole record, and returns the
// number of that record.
func (l *Log) recover() (last uint64, err error) {
	for len(l.segments) > 0 {
		s := l.segments[len(l.segments)-1]
		r, _, _, err := openReader(l.path(s.first))
		if err != nil {
			return 0, err
		}
		r.end = s.size
		whole := int64(0)
		for {
			number, _, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				r.close()
				return 0, err
			}
			last, whole = number, r.pos
		}
		r.close()
		if whole > 0 {
			s.size = whole
			if err := os.Truncate(l.path(s.first), whole); err != nil {
				return 0, fmt.Errorf("cutting off a torn record: %w", err)
			}
			return last, nil
		}
		if err := os.Remove(l.path(s.first)); err != nil {
			return 0, fmt.Errorf("removing an empty segment: %w", err)
		}
		last = s.first - 1
		l.segments = l.segments[:len(l.segments)-1]
		if len(l.segments) == 0 {
			return last, nil
		}
	}
	return last, nil
}

func (l *Log) path(first uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%020d", first)+segmentSuffix)
}

// SetAside are the names of the files in which nothing could be read when the log was
// opened. They can be looked at and deleted.
func (l *Log) SetAside() []string { return l.aside }

// Messages is how many records are not released, Bytes what they take.
func (l *Log) Messages() uint64 { return l.next - 1 - l.released }

// Bytes is what the records that are not released take of the disk.
func (l *Log) Bytes() int64 { return l.bytes }

// Taken is what the log takes of the disk.
func (l *Log) Taken() int64 { return l.size }

// Size is what a record of so many bytes takes of the disk.
func Size(body int) int64 { return recordHeader + int64(body) }

// Next is the number that the next record appended gets.
func (l *Log) Next() uint64 { return l.next }

// Cursor is the number of the next record to be read: [Log.Next] where all are read.
func (l *Log) Cursor() uint64 { return l.cursor }

// Append writes records behind the last one, and returns the number of the first of
// them. They are on the disk when it returns nil. [ErrFull] says that there is no
// room.
func (l *Log) Append(records [][]byte) (first uint64, err error) {
	need := int64(0)
	for _, r := range records {
		need += recordHeader + int64(len(r))
	}
	if l.active != nil && l.last().size+need > l.piece {
		_ = l.active.Close() // it is synced
		l.active = nil
	}
	extra := need
	if l.active == nil {
		extra += headerSize
	}
	if l.size+extra > l.max {
		return 0, fmt.Errorf("%w in the %d bytes that it may take", ErrFull, l.max)
	}
	begins := l.active == nil
	if begins {
		if err := l.begin(); err != nil {
			return 0, wrap(err)
		}
	}
	l.batch = l.batch[:0]
	if begins {
		l.batch = appendHeader(l.batch, l.next, l.salt)
	}
	for i, r := range records {
		l.batch = appendRecord(l.batch, l.salt, l.next+uint64(i), r)
	}
	if err := l.write(begins); err != nil {
		l.undo(begins)
		return 0, wrap(err)
	}
	if begins {
		l.segments = append(l.segments, &segment{first: l.next})
	}
	l.last().size += extra
	l.size += extra
	l.bytes += need
	first = l.next
	l.next += uint64(len(records))
	if cap(l.batch) > keepBatch {
		l.batch = nil
	}
	return first, nil
}

func (l *Log) last() *segment { return l.segments[len(l.segments)-1] }

// begin makes a segment.
func (l *Log) begin() (err error) {
	l.salt = rand.Uint32() //nolint:gosec // it has to be unknown to those who sent what is in the log before; 32 bits are no secret anyway
	l.active, err = os.OpenFile(l.path(l.next), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	return err
}

func (l *Log) write(begins bool) error {
	if _, err := l.active.Write(l.batch); err != nil {
		return err
	}
	if err := l.sync(l.active); err != nil {
		return err
	}
	if !begins {
		return nil
	}
	dir, err := os.Open(l.dir) // that it has the file has to last, too
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only read
	return l.sync(dir)
}

// undo takes back what a failed write may have left. After a failed fsync nobody knows
// what of the file is on the disk, so that it is not written to again. Where it cannot
// be cut, the numbers of the next segment tell that its tail is not valid.
func (l *Log) undo(begins bool) {
	_ = l.active.Close()
	l.active = nil
	if begins {
		_ = os.Remove(l.path(l.next))
		return
	}
	_ = os.Truncate(l.path(l.last().first), l.last().size)
}

func wrap(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("writing the buffer: %w", err)
}

// Read hands on the next records, oldest first: up to so many, and no more once they
// have the size in bytes. take gets a record's number, its body, which is valid until it
// returns, and what it takes of the disk. lost is how many were passed over because they
// cannot be read.
func (l *Log) Read(most int, size int64, take func(number uint64, body []byte, size int64)) (lost uint64, err error) {
	for l.cursor < l.next && most > 0 && size > 0 {
		i := l.holder()
		if i < 0 { // between segments, of one that was set aside
			n := l.after()
			lost, l.cursor = lost+n-l.cursor, n
			continue
		}
		s, behind := l.segments[i], l.next
		if i+1 < len(l.segments) {
			behind = l.segments[i+1].first
		}
		if err := l.turnTo(s); err != nil {
			return lost, err
		}
		number, body, err := l.reader.next()
		switch {
		case errors.Is(err, io.EOF) || err == nil && number >= behind:
			lost, l.cursor = lost+behind-l.cursor, behind
			continue
		case err != nil:
			return lost, err
		case number < l.first:
			l.bytes -= recordHeader + int64(len(body)) // released by an earlier process
			continue
		case number < l.cursor:
			continue
		}
		lost += number - l.cursor
		l.cursor = number + 1
		taken := recordHeader + int64(len(body))
		take(number, body, taken)
		most--
		size -= taken
	}
	return lost, nil
}

// holder returns the place of the segment that holds the next record to read, -1 where
// there is none.
func (l *Log) holder() int {
	for i := range slices.Backward(l.segments) {
		if l.segments[i].first <= l.cursor {
			return i
		}
	}
	return -1
}

// after is the number of the first record there is behind the cursor.
func (l *Log) after() uint64 {
	if len(l.segments) > 0 {
		return l.segments[0].first
	}
	return l.next
}

// turnTo has the reader read a segment.
func (l *Log) turnTo(s *segment) error {
	if l.reader == nil || l.reading != s.first {
		l.closeReader()
		r, _, _, err := openReader(l.path(s.first)) // nothing is found under a damaged header
		if err != nil {
			return err
		}
		l.reader, l.reading = r, s.first
	}
	l.reader.end = s.size
	return nil
}

func (l *Log) closeReader() {
	if l.reader != nil {
		l.reader.close()
		l.reader = nil
	}
}

// Skip has the next record to be read be the one with this number.
func (l *Log) Skip(number uint64) { l.cursor = max(l.cursor, number) }

// SkipSegment gives up what is left to read of the segment that cannot be read, and
// returns how many records that are.
func (l *Log) SkipSegment() (lost uint64) {
	behind := l.next
	if i := l.holder(); i >= 0 && i+1 < len(l.segments) {
		behind = l.segments[i+1].first
	}
	lost, l.cursor = behind-l.cursor, behind
	l.closeReader()
	return lost
}

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
	for len(l.segments) > 0 {
		s := l.segments[0]
		switch {
		case len(l.segments) > 1 && l.segments[1].first <= l.released+1:
		case len(l.segments) == 1 && l.released+1 == l.next && (l.active == nil || s.size > l.piece/2):
			if l.active != nil {
				_ = l.active.Close() // nothing of it is wanted
				l.active = nil
			}
		default:
			if l.released+1 == l.next {
				l.bytes = 0
			}
			return
		}
		if l.reader != nil && l.reading == s.first {
			l.closeReader()
		}
		_ = os.Remove(l.path(s.first)) // where it fails, the next start tries again
		l.size -= s.size
		l.segments = l.segments[1:]
	}
	l.bytes = 0
}

// DropOldest makes room by dropping the oldest segment, and returns how many records
// are dropped with it that were not read yet. ok is false where there is none.
func (l *Log) DropOldest() (dropped uint64, ok bool) {
	if len(l.segments) == 0 {
		return 0, false
	}
	behind := l.next
	if len(l.segments) > 1 {
		behind = l.segments[1].first
	} else if l.active != nil {
		_ = l.active.Close() // nothing of it is wanted
		l.active = nil
	}
	if behind > l.cursor {
		dropped, l.cursor = behind-l.cursor, behind
	}
	l.Release(behind-1, 0)
	l.bytes = 0
	for _, s := range l.segments {
		l.bytes += s.size - headerSize
	}
	return dropped, true
}

// Save writes how far records are released. Synced, that outlasts a crash of the
// machine, else one of the process.
func (l *Log) Save(synced bool) error { return l.position.save(l.released, synced) }

// Close saves the position and ends the use of the directory.
func (l *Log) Close() error {
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
