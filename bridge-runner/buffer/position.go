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

// position is a file with the number of the last record that was released. Two places
// are written in turn, so that one is whole whatever interrupts the other; the higher
// one counts.
type position struct {
	file  *os.File
	saved uint64
	turn  int64
}

const (
	positionName  = "released"
	positionSize  = 12
	positionPlace = 512 // bytes apart, so that they are in different sectors
)

func openPosition(dir string) (*position, error) {
	file, err := os.OpenFile(filepath.Join(dir, positionName), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // in the directory that the user names
	if err != nil {
		return nil, fmt.Errorf("opening the position: %w", err)
	}
	p := &position{file: file}
	if info, err := file.Stat(); err == nil && info.Size() == 0 {
		// Now, since a disk that is full then has no room for it when messages go out. If
		// it has none now, save tells.
		_, _ = file.WriteAt(make([]byte, 2*positionPlace), 0)
	}
	for turn := range int64(2) {
		var place [positionSize]byte
		_, err := file.ReadAt(place[:], turn*positionPlace)
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			_ = file.Close() // only read
			return nil, fmt.Errorf("reading the position: %w", err)
		}
		n := binary.LittleEndian.Uint64(place[:])
		if binary.LittleEndian.Uint32(place[8:]) == checksum(0, place[:8]) && n >= p.saved {
			p.saved, p.turn = n, 1-turn
		}
	}
	return p, nil
}

// save writes the position. Synced, it survives the machine, else the process only.
func (p *position) save(released uint64, synced bool) error {
	if released != p.saved || synced { // a write tells whether the disk can be written
		var place [positionSize]byte
		binary.LittleEndian.PutUint64(place[:], released)
		binary.LittleEndian.PutUint32(place[8:], checksum(0, place[:8]))
		if _, err := p.file.WriteAt(place[:], p.turn*positionPlace); err != nil {
			return err
		}
		p.saved, p.turn = released, 1-p.turn
	}
	if !synced {
		return nil
	}
	return p.file.Sync()
}
