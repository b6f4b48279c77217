// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// position is a file with the number of the last released record, and the ledger. The file has
// two slots for each of them, which are written alternately: if a write is interrupted, the other
// slot is intact. The slot with the higher number, or the later ledger, is valid.
type position struct {
	path string
	file *os.File
	// saved is the number in the file.
	saved uint64
	// valid is true if the file contains a valid number.
	valid bool
	// nextSlot is the slot for the next number: 0 or 1.
	nextSlot int64

	// ledger is the current ledger, which the next save writes if ledgerChanged is true.
	ledger        ledger
	ledgerChanged bool
	// mustReopen is true after a failed write: the file must be opened again.
	mustReopen bool
}

const (
	positionName = "released"
	positionSize = 12
	positionSlot = 512 // distance of the slots in bytes, so that they are in different sectors

	ledgerStart      = 4096 // offset of the ledger's first slot
	positionFileSize = ledgerStart + 2*ledgerSlot
)

func openPosition(dir string) (*position, error) {
	p := &position{path: filepath.Join(dir, positionName)}
	if err := p.open(); err != nil {
		return nil, fmt.Errorf("opening the position: %w", err)
	}
	for slot := range int64(2) {
		var data [positionSize]byte
		_, err := p.file.ReadAt(data[:], slot*positionSlot)
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			_ = p.file.Close() // nothing was written
			return nil, fmt.Errorf("reading the position: %w", err)
		}
		n := binary.LittleEndian.Uint64(data[:])
		if binary.LittleEndian.Uint32(data[8:]) == checksum(0, data[:8]) && n >= p.saved {
			p.saved, p.valid, p.nextSlot = n, true, 1-slot
		}
	}
	if err := p.readLedger(); err != nil {
		_ = p.file.Close() // nothing was written
		return nil, fmt.Errorf("reading the position: %w", err)
	}
	return p, nil
}

// open opens the file and allocates its disk space. The space must be allocated now, because the
// disk may be full when messages are delivered and the position changes. If it cannot be
// allocated, save reports the error.
func (p *position) open() error {
	file, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // in the directory that the user names
	if err != nil {
		return err
	}
	if info, err := file.Stat(); err == nil && info.Size() < positionFileSize {
		_, _ = file.WriteAt(make([]byte, positionFileSize-info.Size()), info.Size())
	}
	p.file = file
	return nil
}

// reopen opens the file again. If the volume was unavailable, the old descriptor may be unusable,
// or refer to a file that is no longer in the directory.
func (p *position) reopen() error {
	old := p.file
	if err := p.open(); err != nil {
		return err
	}
	_ = old.Close() // its content is written again
	p.mustReopen, p.ledgerChanged, p.saved = false, true, ^uint64(0)
	return nil
}

// replaced reports whether the open file is not the file in the directory.
func (p *position) replaced() bool {
	mine, err := p.file.Stat()
	there, err2 := os.Stat(p.path) //nolint:gosec // in the directory that the user names
	return err != nil || err2 != nil || !os.SameFile(mine, there)
}

// save writes the position and the ledger if they have changed. If synced is true, it writes the
// position in any case, and both survive a crash of the machine, otherwise only a crash of the
// process.
func (p *position) save(released uint64, synced bool) (err error) {
	if p.mustReopen || synced && p.replaced() {
		if err := p.reopen(); err != nil {
			return err
		}
	}
	defer func() { p.mustReopen = err != nil }()
	if p.ledgerChanged {
		// The ledger must be written first: the position may be higher than the numbers of records
		// that only the ledger marks as unreleased.
		if err := p.writeLedger(); err != nil {
			return err
		}
	}
	if released != p.saved || synced || !p.valid { // if synced, write also to find out whether the disk is writable
		var data [positionSize]byte
		binary.LittleEndian.PutUint64(data[:], released)
		binary.LittleEndian.PutUint32(data[8:], checksum(0, data[:8]))
		if _, err := p.file.WriteAt(data[:], p.nextSlot*positionSlot); err != nil {
			return err
		}
		p.saved, p.valid, p.nextSlot = released, true, 1-p.nextSlot
	}
	if !synced {
		return nil
	}
	return p.file.Sync()
}
