// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"io"
	"slices"
)

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
