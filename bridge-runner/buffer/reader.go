// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// readAhead is the number of bytes read from a segment at once.
const readAhead = 256 << 10

// reader reads the records of a segment in order. After damage it continues with the next
// intact record.
type reader struct {
	file *os.File
	salt uint32
	// pos is the offset of the next record in the file.
	pos int64
	// end is the offset at which reading stops.
	end int64

	// torn is true if the data after the last intact record is damaged.
	torn bool

	// buf is data that was read ahead. buf[bufPos:] is the file's content from pos on.
	buf    []byte
	bufPos int
}

// openSegmentFile opens a segment and reads its header. first is the number of its first record.
// ok is false if the header is damaged.
func openSegmentFile(path string) (r *reader, first uint64, ok bool, err error) {
	file, err := os.Open(path) //nolint:gosec // a file in the log's directory
	if err != nil {
		return nil, 0, false, fmt.Errorf("opening a segment: %w", err)
	}
	head := make([]byte, headerSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = file.Close() // nothing was written
		return nil, 0, false, fmt.Errorf("reading a segment: %w", err)
	}
	first, salt, ok := parseHeader(head[:n])
	return &reader{file: file, salt: salt, pos: headerSize}, first, ok, nil
}

// openReader opens the segment whose first record has the given number. If its header is damaged
// or has another number, the reader finds no records.
func openReader(path string, number uint64) (*reader, error) {
	r, first, ok, err := openSegmentFile(path)
	if err != nil {
		return nil, err
	}
	if !ok || first != number {
		r.torn, r.salt = true, ^r.salt
	}
	return r, nil
}

func (r *reader) close() { _ = r.file.Close() } // nothing was written

// peek returns n bytes from pos on, or fewer if the segment ends before that.
func (r *reader) peek(n int64) ([]byte, error) {
	n = min(n, r.end-r.pos)
	have := int64(len(r.buf) - r.bufPos)
	if have >= n {
		return r.buf[r.bufPos : int64(r.bufPos)+n], nil
	}
	want := min(max(n, readAhead), r.end-r.pos)
	if int64(cap(r.buf)) < want || cap(r.buf) > 4*readAhead && want <= readAhead {
		grown := make([]byte, have, want)
		copy(grown, r.buf[r.bufPos:])
		r.buf = grown
	} else {
		r.buf = r.buf[:copy(r.buf, r.buf[r.bufPos:])]
	}
	r.bufPos = 0
	r.buf = r.buf[:want]
	got, err := r.file.ReadAt(r.buf[have:], r.pos+have)
	r.buf = r.buf[:have+int64(got)]
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a segment: %w", err)
	}
	return r.buf[:min(n, int64(len(r.buf)))], nil
}

func (r *reader) skip(n int64) {
	r.pos += n
	r.bufPos += int(min(n, int64(len(r.buf)-r.bufPos)))
}

// next returns the next intact record, and [io.EOF] after the last one. The body is valid until
// the next call.
func (r *reader) next() (number uint64, body []byte, err error) {
	for r.pos < r.end {
		data, err := r.peek(recordHeaderSize)
		if err != nil {
			return 0, nil, err
		}
		if len(data) < recordHeaderSize {
			r.torn = true
			break
		}
		h, ok := parseRecordHeader(data, r.salt)
		if !ok || h.length > r.end-r.pos-recordHeaderSize {
			r.torn = true
			if err := r.seekMark(); err != nil {
				return 0, nil, err
			}
			continue
		}
		if data, err = r.peek(recordHeaderSize + h.length); err != nil {
			return 0, nil, err
		}
		if int64(len(data)) < recordHeaderSize+h.length {
			r.torn = true
			break // the file became shorter
		}
		r.skip(recordHeaderSize + h.length)
		if body = data[recordHeaderSize:]; checksum(r.salt, body) == h.body {
			r.torn = false
			return h.number, body, nil
		}
		r.torn = true
	}
	return 0, nil, io.EOF
}

// seekMark advances to the next two bytes that equal recordMark. They may also be part of a body.
func (r *reader) seekMark() error {
	mark := binary.LittleEndian.AppendUint16(nil, recordMark)
	r.skip(1)
	for r.pos < r.end {
		data, err := r.peek(readAhead)
		if err != nil {
			return err
		}
		if at := bytes.Index(data, mark); at >= 0 {
			r.skip(int64(at))
			return nil
		}
		r.skip(max(int64(len(data))-1, 1)) // the last byte may begin a mark
	}
	return nil
}
