// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ledger lists the deferrals, and the newest segment, so that the next process notices if that
// segment is missing. Integers are little-endian:
//
//	checksum 4, zero 4, sequence 8, newest segment 8, number of deferrals 8,
//	deferrals: from 8, next 8, end 8, file 8, bytes 8, newest 8, flags 8
type ledger struct {
	// valid is true if a ledger was read from the file. The position is then exact.
	valid bool
	// sequence is the sequence number of the last saved ledger.
	sequence uint64
	// newest is the number of the newest segment's first record, 0 if there is no segment.
	newest    uint64
	deferrals []*deferral
}

const (
	ledgerHeader = 32
	deferralSize = 56
	ledgerSlot   = 16 << 10
	flagMissing  = 1
	maxDeferrals = (ledgerSlot - ledgerHeader) / deferralSize
)

var errTooManyDeferrals = fmt.Errorf("more than %d parts of the backlog cannot be read", maxDeferrals)

func (p *position) readLedger() error {
	data := make([]byte, ledgerSlot)
	for slot := range int64(2) {
		_, err := p.file.ReadAt(data, ledgerStart+slot*ledgerSlot)
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			return err
		}
		if got, ok := parseLedger(data); ok && got.sequence > p.ledger.sequence {
			p.ledger = got
		}
	}
	return nil
}

func (p *position) writeLedger() error {
	l := p.ledger
	l.sequence++
	data, err := appendLedger(nil, l)
	if err != nil {
		return err
	}
	if _, err := p.file.WriteAt(data, ledgerStart+int64(l.sequence%2)*ledgerSlot); err != nil {
		return err
	}
	p.ledger.sequence, p.ledgerChanged = l.sequence, false
	return nil
}

func appendLedger(dst []byte, l ledger) ([]byte, error) {
	deferrals := mergeDeferrals(l.deferrals)
	if len(deferrals) > maxDeferrals {
		return nil, errTooManyDeferrals
	}
	dst = append(dst, make([]byte, 8)...)
	for _, n := range []uint64{l.sequence, l.newest, uint64(len(deferrals))} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	for i := range deferrals {
		d := &deferrals[i]
		flags := uint64(0)
		if d.missing {
			flags |= flagMissing
		}
		for _, n := range []uint64{d.from, d.next, d.end, d.file, uint64(d.bytes), d.newest, flags} { //nolint:gosec // not negative
			dst = binary.LittleEndian.AppendUint64(dst, n)
		}
	}
	binary.LittleEndian.PutUint32(dst, checksum(0, dst[8:]))
	return dst, nil
}

// parseLedger parses the output of appendLedger. Bytes after it are ignored.
func parseLedger(data []byte) (l ledger, ok bool) {
	n := binary.LittleEndian.Uint64(data[24:])
	if n > maxDeferrals {
		return l, false
	}
	end := ledgerHeader + n*deferralSize
	l.sequence = binary.LittleEndian.Uint64(data[8:])
	if l.sequence == 0 || binary.LittleEndian.Uint32(data) != checksum(0, data[8:end]) {
		return l, false
	}
	l.valid, l.newest = true, binary.LittleEndian.Uint64(data[16:])
	for at := uint64(ledgerHeader); at < end; at += deferralSize {
		field := func(i uint64) uint64 { return binary.LittleEndian.Uint64(data[at+8*i:]) }
		l.deferrals = append(l.deferrals, &deferral{
			from: field(0), next: field(1), end: field(2), file: field(3),
			bytes: int64(field(4)), newest: field(5), missing: field(6)&flagMissing > 0, //nolint:gosec // written from an int64
		})
	}
	return l, true
}

// mergeDeferrals joins adjacent deferrals if none of their records was restored. Without that, an
// unavailable volume would need a deferral in the ledger for each segment.
func mergeDeferrals(deferrals []*deferral) (out []deferral) {
	for _, d := range deferrals {
		if n := len(out); n > 0 {
			if m := &out[n-1]; m.end == d.from && m.next == m.from && d.next == d.from && !m.countUnknown() {
				m.end, m.newest = d.end, d.newest
				m.bytes += d.bytes
				continue
			}
		}
		out = append(out, *d)
	}
	return out
}
