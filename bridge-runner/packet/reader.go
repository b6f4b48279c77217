// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import "fmt"

// The limits of a variable byte integer (section 2.2.3 of 3.1.1, 1.5.5 of 5).
const (
	maxVarint     = 1<<28 - 1
	maxVarintSize = 4
)

func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return maxVarintSize
}

// reader takes the fields of a packet from the front of s. err is the first error. After
// an error, s is empty, and every later field is zero.
type reader struct {
	in  Type
	s   string
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.s = ""
}

func (r *reader) short(field string) {
	if r.err == nil {
		r.fail(malformed(CodeMalformedPacket, "%s that ends within its %s", r.in.indefinite(), field))
	}
}

func (r *reader) uint8(field string) byte {
	if r.s == "" {
		r.short(field)
		return 0
	}
	b := r.s[0]
	r.s = r.s[1:]
	return b
}

func (r *reader) uint16(field string) uint16 {
	if len(r.s) < 2 {
		r.short(field)
		return 0
	}
	n := uint16(r.s[0])<<8 | uint16(r.s[1])
	r.s = r.s[2:]
	return n
}

func (r *reader) uint32(field string) uint32 {
	if len(r.s) < 4 {
		r.short(field)
		return 0
	}
	high := r.uint16(field)
	return uint32(high)<<16 | uint32(r.uint16(field))
}

// varint takes a variable byte integer. It rejects encodings that are longer than
// necessary ([MQTT-1.5.5-1]).
func (r *reader) varint(field string) uint32 {
	n := uint32(0)
	for i := range maxVarintSize {
		if i == len(r.s) {
			r.short(field)
			return 0
		}
		b := r.s[i]
		n |= uint32(b&0x7f) << (7 * i)
		if b&0x80 != 0 {
			continue
		}
		if b == 0 && i > 0 {
			r.fail(malformed(CodeMalformedPacket, "%s whose %s uses more bytes than necessary", r.in.indefinite(), field))
			return 0
		}
		r.s = r.s[i+1:]
		return n
	}
	r.fail(malformed(CodeMalformedPacket, "%s whose %s has more than %d bytes", r.in.indefinite(), field, maxVarintSize))
	return 0
}

// binary takes binary data (MQTT 5 section 1.5.6).
func (r *reader) binary(field string) string {
	n := int(r.uint16(field))
	if n > len(r.s) {
		r.short(field)
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

// inBytes returns a number of bytes for messages. This package imports no other package of the project.
func inBytes(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// end returns the error of the packet. Bytes that are left in s are an error.
func (r *reader) end() error {
	if r.s != "" {
		r.fail(malformed(CodeMalformedPacket, "%s with %s too many", r.in.indefinite(), inBytes(len(r.s))))
	}
	return r.err
}
