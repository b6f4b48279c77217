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

// Append writes records behind the last one, and returns the number of the first of
// them. They are on the disk when it returns nil. [ErrFull] says that there is no
// room, [ErrTooLarge] that there never is.
func (l *Log) Append(records [][]byte) (first uint64, err error) {
	return l.append(records, l.max)
}

// append is Append, if the log takes no more than most then.
func (l *Log) append(records [][]byte, most int64) (first uint64, err error) {
	need := int64(0)
	for _, r := range records {
		need += recordHeader + int64(len(r))
	}
	if need+headerSize > most {
		return 0, fmt.Errorf("%w in the %d bytes that it may take", ErrTooLarge, l.max)
	}
	if l.active != nil && l.last().size+need > l.piece {
		_ = l.active.Close() // it is synced
		l.active = nil
	}
	extra := need
	if l.active == nil {
		extra += headerSize
	}
	if l.size+extra > most {
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
		l.segments = append(l.segments, &segment{first: l.next, sized: true})
		l.setNewest(l.next)
	}
	l.last().size += extra
	l.size += extra
	l.bytes += need
	first = l.next
	l.next += uint64(len(records))
	if begins {
		_ = l.Save(false) // the newest segment; an error is found when something is released
	}
	if cap(l.batch) > keepBatch {
		l.batch = nil
	}
	return first, nil
}

func (l *Log) last() *segment { return l.segments[len(l.segments)-1] }

// begin makes a segment.
func (l *Log) begin() (err error) {
	l.salt = rand.Uint32()                                                                 //nolint:gosec // it has to be unknown to those who sent what is in the log before; 32 bits are no secret anyway
	l.active, err = os.OpenFile(l.path(l.next), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // in the directory that the user names
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
	dir, err := os.Open(l.dir) //nolint:gosec // in the directory that the user names; that it has the file has to last, too
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
		_ = os.Remove(l.path(l.next)) //nolint:gosec // in the directory that the user names
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
