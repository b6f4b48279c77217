// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"encoding/binary"
	"errors"
	"io"
)

// ledger says which records are kept for later because they cannot be read, and which
// segment is the newest, so that a missing one is noticed. Integers are little-endian:
//
//	checksum 4, zero 4, sequence 8, newest segment 8, number of deferrals 8,
//	deferrals: from 8, next 8, behind 8, file 8, bytes 8, newest 8, flags 8
type ledger struct {
	valid     bool   // one was read: the position is exact
	sequence  uint64 // of the one saved last
	newest    uint64 // number of the first record of the newest segment; 0: there is none
	deferrals []*deferral
}

const (
	ledgerHeader = 32
	deferralSize = 56
	ledgerPlace  = 16 << 10
	flagMissing  = 1
	maxDeferrals = (ledgerPlace - ledgerHeader) / deferralSize
)

var errManyDeferrals = errors.New("too many parts of the backlog cannot be read")

func (p *position) readLedger() error {
	data := make([]byte, ledgerPlace)
	for turn := range int64(2) {
		_, err := p.file.ReadAt(data, ledgerStart+turn*ledgerPlace)
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
	if _, err := p.file.WriteAt(data, ledgerStart+int64(l.sequence%2)*ledgerPlace); err != nil {
		return err
	}
	p.ledger.sequence, p.changed = l.sequence, false
	return nil
}

func appendLedger(dst []byte, l ledger) ([]byte, error) {
	deferrals := merged(l.deferrals)
	if len(deferrals) > maxDeferrals {
		return nil, errManyDeferrals
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
		for _, n := range []uint64{d.from, d.next, d.behind, d.file, uint64(d.bytes), d.newest, flags} { //nolint:gosec // not negative
			dst = binary.LittleEndian.AppendUint64(dst, n)
		}
	}
	binary.LittleEndian.PutUint32(dst, checksum(0, dst[8:]))
	return dst, nil
}

// parseLedger reads what appendLedger writes, with whatever follows it.
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
			from: field(0), next: field(1), behind: field(2), file: field(3),
			bytes: int64(field(4)), newest: field(5), missing: field(6)&flagMissing > 0, //nolint:gosec // as written
		})
	}
	return l, true
}

// merged joins neighbours of which nothing was restored, since a volume that is away
// makes one of each segment.
func merged(deferrals []*deferral) (out []deferral) {
	for _, d := range deferrals {
		if n := len(out); n > 0 {
			if m := &out[n-1]; m.behind == d.from && m.next == m.from && d.next == d.from && !m.open() {
				m.behind, m.newest = d.behind, d.newest
				m.bytes += d.bytes
				continue
			}
		}
		out = append(out, *d)
	}
	return out
}
