// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
)

// Append writes records to the end of the log, and returns the number of the first of them. If
// err is nil, the records are on the disk. [ErrFull] means that there is no room now,
// [ErrTooLarge] that there is never enough room.
func (l *Log) Append(records [][]byte) (first uint64, err error) {
	return l.appendWithin(records, l.maxBytes)
}

// appendWithin appends records if the log then uses no more than limit bytes of disk space.
func (l *Log) appendWithin(records [][]byte, limit int64) (first uint64, err error) {
	need := int64(0)
	for _, r := range records {
		need += recordHeaderSize + int64(len(r))
	}
	if need+headerSize > limit {
		return 0, fmt.Errorf("%w within the limit of %d bytes", ErrTooLarge, l.maxBytes)
	}
	if l.active != nil && l.last().size+need > l.segmentSize {
		_ = l.active.Close() // every write was synced
		l.active = nil
	}
	extra := need
	if l.active == nil {
		extra += headerSize
	}
	if l.size+extra > limit {
		return 0, fmt.Errorf("%w within the limit of %d bytes", ErrFull, l.maxBytes)
	}
	newSegment := l.active == nil
	if newSegment {
		if err := l.createSegment(); err != nil {
			return 0, writeError(err)
		}
	}
	l.batch = l.batch[:0]
	if newSegment {
		l.batch = appendHeader(l.batch, l.next, l.salt)
	}
	for i, r := range records {
		l.batch = appendRecord(l.batch, l.salt, l.next+uint64(i), r)
	}
	if err := l.write(newSegment); err != nil {
		l.rollBack(newSegment)
		return 0, writeError(err)
	}
	if newSegment {
		l.segments = append(l.segments, &segment{first: l.next, sizeKnown: true})
		l.setNewest(l.next)
	}
	l.last().size += extra
	l.size += extra
	l.bytes += need
	first = l.next
	l.next += uint64(len(records))
	if newSegment {
		_ = l.Save(false) // the number of the newest segment; an error shows again when records are released
	}
	if cap(l.batch) > maxKeptBatch {
		l.batch = nil
	}
	return first, nil
}

func (l *Log) last() *segment { return l.segments[len(l.segments)-1] }

// createSegment creates the file of the next segment.
func (l *Log) createSegment() (err error) {
	l.salt = rand.Uint32()                                                                 //nolint:gosec // the senders of messages must not know it in advance; 32 bits are no secret anyway
	l.active, err = os.OpenFile(l.path(l.next), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // in the directory that the user names
	return err
}

func (l *Log) write(newSegment bool) error {
	if _, err := l.active.Write(l.batch); err != nil {
		return err
	}
	if err := l.sync(l.active); err != nil {
		return err
	}
	if !newSegment {
		return nil
	}
	dir, err := os.Open(l.dir) //nolint:gosec // in the directory that the user names; the new file's entry must be synced, too
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // nothing was written
	return l.sync(dir)
}

// rollBack removes the data that a failed write may have left. After a failed fsync, the file's
// state on the disk is unknown, so the segment is not written to again. If it cannot be
// truncated, the next segment's numbers show that its tail is not valid.
func (l *Log) rollBack(newSegment bool) {
	_ = l.active.Close()
	l.active = nil
	if newSegment {
		_ = os.Remove(l.path(l.next)) //nolint:gosec // in the directory that the user names
		return
	}
	_ = os.Truncate(l.path(l.last().first), l.last().size)
}

func writeError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("writing the buffer: %w", err)
}
