// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"io"
	"sort"
)

// Read passes the next records to visit, oldest first. It stops after maxRecords records, or when
// their disk space has reached size bytes. visit gets a record's number, its body, which is valid
// until visit returns, and its disk space in bytes. lost is the number of damaged records that
// were skipped. After an error, the next call tries the same record again, unless [Log.Defer]
// has deferred it.
func (l *Log) Read(maxRecords int, size int64, visit func(number uint64, body []byte, size int64)) (lost uint64, err error) {
	for l.cursor < l.next && maxRecords > 0 && size > 0 {
		if d := l.deferralAt(l.cursor); d != nil {
			l.cursor = d.end
			continue
		}
		number, body, skipped, err := l.nextRecord()
		lost += skipped
		switch {
		case err != nil:
			return lost, err
		case body == nil || number < l.cursor:
			continue
		}
		lost += number - l.cursor
		l.cursor = number + 1
		stored := recordHeaderSize + int64(len(body))
		visit(number, body, stored)
		maxRecords--
		size -= stored
	}
	return lost, nil
}

// nextRecord reads the next record of the segment at the cursor. body is nil if the cursor has
// moved to another segment, or if an earlier process had released the record. lost is the number
// of damaged records that were skipped at the end of the segment.
func (l *Log) nextRecord() (number uint64, body []byte, lost uint64, err error) {
	i := l.segmentFor()
	if i < 0 {
		return 0, nil, 0, l.missingSegment()
	}
	end := l.segmentEnd(i)
	limit := l.firstDeferralAfter(l.cursor, end)
	if err := l.openSegment(l.segments[i]); err != nil {
		return 0, nil, 0, err
	}
	number, body, err = l.reader.next()
	switch {
	case err == nil && number >= limit, errors.Is(err, io.EOF) && (l.reader.torn || l.cursor == limit || limit == l.next):
		lost, l.cursor = limit-l.cursor, limit
		return 0, nil, lost, nil
	case errors.Is(err, io.EOF): // the segment is intact, so the next one must be missing
		return 0, nil, 0, l.missingSegment()
	case err != nil:
		l.closeReader() // open the file again: when the volume is back, it may be another file
		return 0, nil, 0, err
	case number < l.firstAtOpen:
		if number >= l.deductedUpTo { // an earlier process has released it
			l.bytes, l.deductedUpTo = max(l.bytes-recordHeaderSize-int64(len(body)), 0), number+1
		}
		return 0, nil, 0, nil
	}
	return number, body, 0, nil
}

// missingSegment returns an error because the segment at the cursor is missing. It returns nil if
// the segment has appeared meanwhile.
func (l *Log) missingSegment() error {
	if l.rescan() {
		return nil
	}
	l.nextMissing = true
	return errMissing{l.cursor}
}

// segmentFor returns the index of the segment that should contain the next record to read, -1 if
// there is none.
func (l *Log) segmentFor() int {
	return sort.Search(len(l.segments), func(i int) bool { return l.segments[i].first > l.cursor }) - 1
}

// segmentEnd returns the number after the last record of segment i, assuming that no segment after
// it is missing.
func (l *Log) segmentEnd(i int) uint64 {
	if i+1 < len(l.segments) {
		return l.segments[i+1].first
	}
	return l.next
}

// firstAvailable returns the number of the first record of the first segment after the cursor.
func (l *Log) firstAvailable() uint64 {
	for _, s := range l.segments {
		if s.first > l.cursor {
			return s.first
		}
	}
	return l.next
}

// openSegment makes the reader read segment s.
func (l *Log) openSegment(s *segment) error {
	l.nextMissing = false
	if l.reader == nil || l.readerFirst != s.first {
		l.closeReader()
		r, err := openReader(l.path(s.first), s.first)
		if err != nil {
			return err
		}
		l.setSize(s, r)
		l.reader, l.readerFirst = r, s.first
	}
	l.reader.end = s.size
	return nil
}

// setSize records the size of a segment that was not a regular file when it was found.
func (l *Log) setSize(s *segment, r *reader) {
	if s.sizeKnown {
		return
	}
	if info, err := r.file.Stat(); err == nil {
		s.size, s.sizeKnown = fileSize(info), true
		l.size += s.size
	}
}

func (l *Log) closeReader() {
	if l.reader != nil {
		l.reader.close()
		l.reader = nil
	}
}

// SkipTo moves the cursor forward to the record with this number.
func (l *Log) SkipTo(number uint64) { l.cursor = max(l.cursor, number) }
