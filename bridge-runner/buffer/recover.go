// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// find lists the segments, and sets aside those that cannot be read.
func (l *Log) find() error {
	entries, err := os.ReadDir(l.dir) // in the order of their names, which is that of their numbers
	if err != nil {
		return fmt.Errorf("opening the buffer: %w", err)
	}
	for _, e := range entries {
		name, isSegment := strings.CutSuffix(e.Name(), segmentSuffix)
		number, err := strconv.ParseUint(name, 10, 64)
		if !isSegment || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("opening the buffer: %w", err)
		}
		r, first, ok, err := openReader(l.path(number))
		if err != nil {
			return err
		}
		r.close()
		if !ok || first != number {
			if info.Size() > headerSize { // else a crash came before its first record
				l.aside = append(l.aside, e.Name()+asideSuffix)
				if err := os.Rename(l.path(number), l.path(number)+asideSuffix); err != nil {
					return fmt.Errorf("setting a damaged segment aside: %w", err)
				}
			} else if err := os.Remove(l.path(number)); err != nil {
				return fmt.Errorf("removing an empty segment: %w", err)
			}
			continue
		}
		l.segments = append(l.segments, &segment{first: number, size: info.Size()})
	}
	return nil
}

// recover cuts off what a crash has left behind the last whole record, and returns the
// number of that record.
func (l *Log) recover() (last uint64, err error) {
	for len(l.segments) > 0 {
		s := l.segments[len(l.segments)-1]
		r, _, _, err := openReader(l.path(s.first))
		if err != nil {
			return 0, err
		}
		r.end = s.size
		whole := int64(0)
		for {
			number, _, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				r.close()
				return 0, err
			}
			last, whole = number, r.pos
		}
		r.close()
		if whole > 0 {
			s.size = whole
			if err := os.Truncate(l.path(s.first), whole); err != nil {
				return 0, fmt.Errorf("cutting off a torn record: %w", err)
			}
			return last, nil
		}
		if err := os.Remove(l.path(s.first)); err != nil {
			return 0, fmt.Errorf("removing an empty segment: %w", err)
		}
		last = s.first - 1
		l.segments = l.segments[:len(l.segments)-1]
		if len(l.segments) == 0 {
			return last, nil
		}
	}
	return last, nil
}
