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

// readAhead is how much is read from a segment at once.
const readAhead = 256 << 10

// reader reads the records of a segment one after the other. Behind damage it goes on
// with the next record that is whole.
type reader struct {
	file *os.File
	salt uint32
	pos  int64 // in the file, of the next record
	end  int64 // how far the file may be read

	torn bool // there is damage behind the last record that is whole

	buf  []byte // what was read and is to be parsed: the file from pos on
	from int
}

// openReader opens a segment. ok is false where its header is damaged.
func openReader(path string) (r *reader, first uint64, ok bool, err error) {
	file, err := os.Open(path) //nolint:gosec // a path of the log's own
	if err != nil {
		return nil, 0, false, fmt.Errorf("opening a segment: %w", err)
	}
	head := make([]byte, headerSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = file.Close() // only read
		return nil, 0, false, fmt.Errorf("reading a segment: %w", err)
	}
	first, salt, ok := parseHeader(head[:n])
	return &reader{file: file, salt: salt, pos: headerSize}, first, ok, nil
}

// openSegment opens the segment that begins with a number. Nothing is found under a
// damaged header.
func openSegment(path string, number uint64) (*reader, error) {
	r, first, ok, err := openReader(path)
	if err != nil {
		return nil, err
	}
	if !ok || first != number {
		r.torn, r.salt = true, ^r.salt
	}
	return r, nil
}

func (r *reader) close() { _ = r.file.Close() } // only read

// peek returns n bytes from pos on, or fewer where the segment ends.
func (r *reader) peek(n int64) ([]byte, error) {
	n = min(n, r.end-r.pos)
	have := int64(len(r.buf) - r.from)
	if have >= n {
		return r.buf[r.from : int64(r.from)+n], nil
	}
	want := min(max(n, readAhead), r.end-r.pos)
	if int64(cap(r.buf)) < want || cap(r.buf) > 4*readAhead && want <= readAhead {
		grown := make([]byte, have, want)
		copy(grown, r.buf[r.from:])
		r.buf = grown
	} else {
		r.buf = r.buf[:copy(r.buf, r.buf[r.from:])]
	}
	r.from = 0
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
	r.from += int(min(n, int64(len(r.buf)-r.from)))
}

// next returns the next record that is whole, and [io.EOF] behind the last one. The
// body is valid until the next call.
func (r *reader) next() (number uint64, body []byte, err error) {
	for r.pos < r.end {
		data, err := r.peek(recordHeader)
		if err != nil {
			return 0, nil, err
		}
		if len(data) < recordHeader {
			r.torn = true
			break
		}
		h, ok := parseRecordHeader(data, r.salt)
		if !ok || h.length > r.end-r.pos-recordHeader {
			r.torn = true
			if err := r.resume(); err != nil {
				return 0, nil, err
			}
			continue
		}
		if data, err = r.peek(recordHeader + h.length); err != nil {
			return 0, nil, err
		}
		if int64(len(data)) < recordHeader+h.length {
			r.torn = true
			break // the file is shorter than it was
		}
		r.skip(recordHeader + h.length)
		if body = data[recordHeader:]; checksum(r.salt, body) == h.body {
			r.torn = false
			return h.number, body, nil
		}
		r.torn = true
	}
	return 0, nil, io.EOF
}

// resume goes to the next mark of a record, which may not be one.
func (r *reader) resume() error {
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
