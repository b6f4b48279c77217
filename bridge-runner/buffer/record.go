// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"encoding/binary"
	"hash/crc32"
)

// A segment is a file: its header, twice, so that no single damage costs all of it,
// and then its records. Integers are little-endian.
//
//	header  magic 8, number of the first record 8, salt 4, checksum 4
//	record  mark 2, zero 2, length of the body 4, number 8, checksum of the body 4,
//	        checksum of all these 4, body
//
// Checksums start from the segment's salt, which is random: a payload cannot hold what
// would be taken for a record when one is looked for behind damage. The header's own
// starts from 0.
const (
	magic        = "mqttbuf\x01"
	copySize     = 24
	headerSize   = 2 * copySize
	recordHeader = 24
	recordMark   = 0xb1d5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(salt uint32, data []byte) uint32 { return crc32.Update(salt, castagnoli, data) }

func appendHeader(dst []byte, first uint64, salt uint32) []byte {
	for range headerSize / copySize {
		start := len(dst)
		dst = append(dst, magic...)
		dst = binary.LittleEndian.AppendUint64(dst, first)
		dst = binary.LittleEndian.AppendUint32(dst, salt)
		dst = binary.LittleEndian.AppendUint32(dst, checksum(0, dst[start:]))
	}
	return dst
}

// parseHeader reads whichever copy is whole.
func parseHeader(data []byte) (first uint64, salt uint32, ok bool) {
	for ; len(data) >= copySize; data = data[copySize:] {
		c := data[:copySize]
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

// header is that of a record.
type header struct {
	length int64
	number uint64
	body   uint32 // its checksum
}

// parseRecordHeader reads the header of a record, if it is one.
func parseRecordHeader(data []byte, salt uint32) (h header, ok bool) {
	if binary.LittleEndian.Uint16(data) != recordMark ||
		binary.LittleEndian.Uint32(data[20:]) != checksum(salt, data[:20]) {
		return h, false
	}
	return header{
		length: int64(binary.LittleEndian.Uint32(data[4:])),
		number: binary.LittleEndian.Uint64(data[8:]),
		body:   binary.LittleEndian.Uint32(data[16:]),
	}, true
}
