// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0
//go:build !only || segments

package main

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"

func init() {
	stores["segments"] = func(dir string) (store, error) {
		l, err := buffer.Open(dir, 16<<30)
		return segments{l}, err
	}
}

type segments struct{ log *buffer.Log }

func (s segments) append(records [][]byte) error {
	_, err := s.log.Append(records)
	return err
}

func (s segments) take(n int) (int, error) {
	var last uint64
	var size int64
	got := 0
	_, err := s.log.Read(n, 1<<30, func(number uint64, _ []byte, bytes int64) {
		last, size = number, size+bytes
		got++
	})
	if err != nil {
		return 0, err
	}
	s.log.Release(last, size)
	return got, s.log.Save(false)
}
