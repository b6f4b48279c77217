// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"encoding/binary"
	"hash/crc32"
)

// A segment file has two copies of its header, so that damage to one of them does not lose the
// segment, and then its records. Integers are little-endian.
//
//	header  magic 8, number of the first record 8, salt 4, checksum 4
//	record  mark 2, zero 2, length of the body 4, number 8, checksum of the body 4,
//	        checksum of the preceding fields 4, body
//
// The checksums of records start from the segment's salt, which is random. A payload can
// therefore not imitate a record when the reader searches for the next record after damage. The
// header's checksum starts from 0.
const (
	magic            = "mqttbuf\x01"
	headerCopySize   = 24
	headerSize       = 2 * headerCopySize
	recordHeaderSize = 24
	recordMark       = 0xb1d5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(salt uint32, data []byte) uint32 { return crc32.Update(salt, castagnoli, data) }

func appendHeader(dst []byte, first uint64, salt uint32) []byte {
	for range headerSize / headerCopySize {
		start := len(dst)
		dst = append(dst, magic...)
		dst = binary.LittleEndian.AppendUint64(dst, first)
		dst = binary.LittleEndian.AppendUint32(dst, salt)
		dst = binary.LittleEndian.AppendUint32(dst, checksum(0, dst[start:]))
	}
	return dst
}

// parseHeader returns the fields of the first intact copy of the header.
func parseHeader(data []byte) (first uint64, salt uint32, ok bool) {
	for ; len(data) >= headerCopySize; data = data[headerCopySize:] {
		c := data[:headerCopySize]
		if string(c[:8]) == magic && binary.LittleEndian.Uint32(c[20:]) == checksum(0, c[:20]) {
			return binary.LittleEndian.Uint64(c[8:]), binary.LittleEndian.Uint32(c[16:]), true
		}
	}
	return 0, 0, false
}

func appendRecord(dst []byte, salt uint32, number uint64, body []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint16(dst, recordMark)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body))) //nolint:gosec // at most MaxRecord
	dst = binary.LittleEndian.AppendUint64(dst, number)
	dst = binary.LittleEndian.AppendUint32(dst, checksum(salt, body))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(salt, dst[start:]))
	return append(dst, body...)
}

// recordHeader has the fields of a record's header.
type recordHeader struct {
	// length is the size of the body, in bytes.
	length int64
	number uint64
	// body is the checksum of the body.
	body uint32
}

// parseRecordHeader parses a record's header. ok is false if data is not a valid header.
func parseRecordHeader(data []byte, salt uint32) (h recordHeader, ok bool) {
	if binary.LittleEndian.Uint16(data) != recordMark ||
		binary.LittleEndian.Uint32(data[20:]) != checksum(salt, data[:20]) {
		return h, false
	}
	return recordHeader{
		length: int64(binary.LittleEndian.Uint32(data[4:])),
		number: binary.LittleEndian.Uint64(data[8:]),
		body:   binary.LittleEndian.Uint32(data[16:]),
	}, true
}
