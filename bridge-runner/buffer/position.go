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

// position is a file with the number of the last record that was released, and the
// ledger. Two places of each are written in turn, so that one is whole whatever
// interrupts the other; the higher number, and the later ledger, count.
type position struct {
	path  string
	file  *os.File
	saved uint64
	known bool // the file has saved
	turn  int64

	ledger  ledger // as it is to be saved
	changed bool   // the file does not have ledger yet
	broken  bool   // the file is to be opened again: a write to it has failed
}

const (
	positionName  = "released"
	positionSize  = 12
	positionPlace = 512 // bytes apart, so that they are in different sectors

	ledgerStart  = 4096 // of the first place of the ledger
	positionFile = ledgerStart + 2*ledgerPlace
)

func openPosition(dir string) (*position, error) {
	p := &position{path: filepath.Join(dir, positionName)}
	if err := p.open(); err != nil {
		return nil, fmt.Errorf("opening the position: %w", err)
	}
	for turn := range int64(2) {
		var place [positionSize]byte
		_, err := p.file.ReadAt(place[:], turn*positionPlace)
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			_ = p.file.Close() // only read
			return nil, fmt.Errorf("reading the position: %w", err)
		}
		n := binary.LittleEndian.Uint64(place[:])
		if binary.LittleEndian.Uint32(place[8:]) == checksum(0, place[:8]) && n >= p.saved {
			p.saved, p.known, p.turn = n, true, 1-turn
		}
	}
	if err := p.readLedger(); err != nil {
		_ = p.file.Close() // only read
		return nil, fmt.Errorf("reading the position: %w", err)
	}
	return p, nil
}

// open opens the file, and takes its room on the disk now: a disk that is full when
// messages go out has none. If there is none now either, save reports it.
func (p *position) open() error {
	file, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // in the directory that the user names
	if err != nil {
		return err
	}
	if info, err := file.Stat(); err == nil && info.Size() < positionFile {
		_, _ = file.WriteAt(make([]byte, positionFile-info.Size()), info.Size())
	}
	p.file = file
	return nil
}

// reopen opens the file again, since the volume may have been away: a descriptor of
// before is of no use then, or of a file that is not in the directory.
func (p *position) reopen() error {
	old := p.file
	if err := p.open(); err != nil {
		return err
	}
	_ = old.Close() // all of it is written again
	p.broken, p.changed, p.saved = false, true, ^uint64(0)
	return nil
}

// replaced reports whether the file is not that in the directory.
func (p *position) replaced() bool {
	mine, err := p.file.Stat()
	there, err2 := os.Stat(p.path) //nolint:gosec // in the directory that the user names
	return err != nil || err2 != nil || !os.SameFile(mine, there)
}

// save writes the position and the ledger. Synced, they survive the machine, else the
// process only.
func (p *position) save(released uint64, synced bool) (err error) {
	if p.broken || synced && p.replaced() {
		if err := p.reopen(); err != nil {
			return err
		}
	}
	defer func() { p.broken = err != nil }()
	if p.changed {
		// Before the position, which may be behind what the ledger says to be left.
		if err := p.writeLedger(); err != nil {
			return err
		}
	}
	if released != p.saved || synced || !p.known { // a write tells whether the disk can be written
		var place [positionSize]byte
		binary.LittleEndian.PutUint64(place[:], released)
		binary.LittleEndian.PutUint32(place[8:], checksum(0, place[:8]))
		if _, err := p.file.WriteAt(place[:], p.turn*positionPlace); err != nil {
			return err
		}
		p.saved, p.known, p.turn = released, true, 1-p.turn
	}
	if !synced {
		return nil
	}
	return p.file.Sync()
}
