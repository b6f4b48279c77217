// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0
//go:build !only || tidwall

package main

import "github.com/tidwall/wal"

func init() {
	stores["tidwall"] = func(dir string) (store, error) {
		l, err := wal.Open(dir, &wal.Options{SegmentSize: 16 << 20, SegmentCacheSize: 2, LogFormat: wal.Binary, NoCopy: true})
		if err != nil {
			return nil, err
		}
		last, err := l.LastIndex()
		if err != nil {
			return nil, err
		}
		first, err := l.FirstIndex()
		return &tidwall{log: l, next: last + 1, first: max(first, 1)}, err
	}
}

type tidwall struct {
	log         *wal.Log
	next, first uint64
}

func (s *tidwall) append(records [][]byte) error {
	var b wal.Batch
	for _, r := range records {
		b.Write(s.next, r)
		s.next++
	}
	return s.log.WriteBatch(&b)
}

func (s *tidwall) take(n int) (got int, err error) {
	for s.first < s.next && got < n {
		if _, err := s.log.Read(s.first); err != nil {
			return 0, err
		}
		s.first++
		got++
	}
	// The last one has to stay.
	return got, s.log.TruncateFront(min(s.first, s.next-1))
}
