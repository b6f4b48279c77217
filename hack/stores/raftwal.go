// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0
//go:build !only || raftwal

package main

import (
	"os"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

func init() {
	stores["raftwal"] = func(dir string) (store, error) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		l, err := wal.Open(dir, wal.WithSegmentSize(16<<20))
		if err != nil {
			return nil, err
		}
		last, err := l.LastIndex()
		if err != nil {
			return nil, err
		}
		first, err := l.FirstIndex()
		return &raftWAL{log: l, next: last + 1, first: max(first, 1)}, err
	}
}

type raftWAL struct {
	log         *wal.WAL
	next, first uint64
}

func (s *raftWAL) append(records [][]byte) error {
	logs := make([]*raft.Log, 0, len(records))
	for _, r := range records {
		logs = append(logs, &raft.Log{Index: s.next, Data: r})
		s.next++
	}
	return s.log.StoreLogs(logs)
}

func (s *raftWAL) take(n int) (got int, err error) {
	var l raft.Log
	start := s.first
	for s.first < s.next && got < n {
		if err := s.log.GetLog(s.first, &l); err != nil {
			return 0, err
		}
		s.first++
		got++
	}
	return got, s.log.DeleteRange(start, s.first-1)
}
