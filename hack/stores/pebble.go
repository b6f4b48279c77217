// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0
//go:build !only || pebble

package main

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

func init() {
	stores["pebble"] = func(dir string) (store, error) {
		db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}, MemTableSize: 4 << 20, CacheSize: 4 << 20})
		return &lsm{db: db}, err
	}
}

type quiet struct{ pebble.Logger }

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

type lsm struct {
	db         *pebble.DB
	next, done uint64
}

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (s *lsm) append(records [][]byte) error {
	b := s.db.NewBatch()
	for _, r := range records {
		if err := b.Set(key(s.next), r, nil); err != nil {
			return err
		}
		s.next++
	}
	return b.Commit(pebble.Sync)
}

func (s *lsm) take(n int) (got int, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: key(s.done)})
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok && got < n; ok = it.Next() {
		s.done = binary.BigEndian.Uint64(it.Key()) + 1
		got++
	}
	if err := it.Close(); err != nil {
		return 0, err
	}
	return got, s.db.DeleteRange(key(0), key(s.done), pebble.NoSync)
}
