// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"io"
	"sort"
)

// Read hands on the next records, oldest first: up to so many, and no more once they
// have the size in bytes. take gets a record's number, its body, which is valid until it
// returns, and what it takes of the disk. lost is how many were passed over because they
// are damaged. After an error the next call tries again, until [Log.Defer] puts off what
// cannot be read.
func (l *Log) Read(most int, size int64, take func(number uint64, body []byte, size int64)) (lost uint64, err error) {
	for l.cursor < l.next && most > 0 && size > 0 {
		if d := l.deferralAt(l.cursor); d != nil {
			l.cursor = d.behind
			continue
		}
		number, body, gone, err := l.nextRecord()
		lost += gone
		switch {
		case err != nil:
			return lost, err
		case body == nil || number < l.cursor:
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

// nextRecord reads the next record of the segment that the cursor is in. body is nil if
// the cursor has gone on to another segment, or the record was released by an earlier
// process. lost is how many records were passed over at the end of the segment.
func (l *Log) nextRecord() (number uint64, body []byte, lost uint64, err error) {
	i := l.holder()
	if i < 0 {
		return 0, nil, 0, l.gap()
	}
	end := l.end(i)
	behind := l.firstDeferral(l.cursor, end)
	if err := l.turnTo(l.segments[i]); err != nil {
		return 0, nil, 0, err
	}
	number, body, err = l.reader.next()
	switch {
	case err == nil && number >= behind, errors.Is(err, io.EOF) && (l.reader.torn || l.cursor == behind || behind == l.next):
		lost, l.cursor = behind-l.cursor, behind
		return 0, nil, lost, nil
	case errors.Is(err, io.EOF): // all of it is whole
		return 0, nil, 0, l.gap()
	case err != nil:
		l.closeReader() // the file may be another one when the volume is back
		return 0, nil, 0, err
	case number < l.first:
		if number >= l.counted { // released by an earlier process
			l.bytes, l.counted = max(l.bytes-recordHeader-int64(len(body)), 0), number+1
		}
		return 0, nil, 0, nil
	}
	return number, body, 0, nil
}

// gap says that a segment is missing, unless it is there by now.
func (l *Log) gap() error {
	if l.rescan() {
		return nil
	}
	l.missing = true
	return errMissing{l.cursor}
}

// holder returns the place of the segment that holds the next record to read, -1 where
// there is none.
func (l *Log) holder() int {
	return sort.Search(len(l.segments), func(i int) bool { return l.segments[i].first > l.cursor }) - 1
}

// end is the number behind the records of a segment, if no other one is missing.
func (l *Log) end(i int) uint64 {
	if i+1 < len(l.segments) {
		return l.segments[i+1].first
	}
	return l.next
}

// after is the number of the first record in a segment behind the cursor.
func (l *Log) after() uint64 {
	for _, s := range l.segments {
		if s.first > l.cursor {
			return s.first
		}
	}
	return l.next
}

// turnTo has the reader read a segment.
func (l *Log) turnTo(s *segment) error {
	l.missing = false
	if l.reader == nil || l.reading != s.first {
		l.closeReader()
		r, err := openSegment(l.path(s.first), s.first)
		if err != nil {
			return err
		}
		l.setSize(s, r)
		l.reader, l.reading = r, s.first
	}
	l.reader.end = s.size
	return nil
}

// setSize notes the size of a segment that was no file when it was found.
func (l *Log) setSize(s *segment, r *reader) {
	if s.sized {
		return
	}
	if info, err := r.file.Stat(); err == nil {
		s.size, s.sized = fileSize(info), true
		l.size += s.size
	}
}

func (l *Log) closeReader() {
	if l.reader != nil {
		l.reader.close()
		l.reader = nil
	}
}

// Skip has the next record to be read be the one with this number.
func (l *Log) Skip(number uint64) { l.cursor = max(l.cursor, number) }
