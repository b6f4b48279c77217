// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0
//go:build !only || bbolt

package main

import (
	"encoding/binary"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

func init() { stores["bbolt"] = openBolt }

type bolt struct{ db *bbolt.DB }

var boltBucket = []byte("backlog")

func openBolt(dir string) (store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	return bolt{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltBucket)
		return err
	})
}

func (s bolt) append(records [][]byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(boltBucket)
		b.FillPercent = 1 // keys ascend
		for _, r := range records {
			n, err := b.NextSequence()
			if err == nil {
				err = b.Put(binary.BigEndian.AppendUint64(nil, n), r)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (s bolt) take(n int) (got int, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		c := tx.Bucket(boltBucket).Cursor()
		for k, _ := c.First(); k != nil && got < n; k, _ = c.First() {
			got++
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
	return got, err
}
