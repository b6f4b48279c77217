// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// open opens a log, and closes its files when the test ends.
func open(t *testing.T, dir string, size int64) *Log {
	t.Helper()
	l, err := Open(dir, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.closeFiles)
	return l
}

// makeRecords returns n different records, numbered from first.
func makeRecords(first, n int) (out [][]byte) {
	for i := range n {
		out = append(out, fmt.Appendf(nil, "record %d %s", first+i, bytes.Repeat([]byte{'x'}, (first+i)%50)))
	}
	return out
}

func appendTo(t *testing.T, l *Log, records [][]byte) uint64 {
	t.Helper()
	first, err := l.Append(records)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// readAll reads all records from the cursor to the end of the log.
func readAll(t *testing.T, l *Log) (bodies []string, lost uint64) {
	t.Helper()
	for l.Cursor() < l.Next() {
		n, err := l.Read(7, 1<<20, func(_ uint64, body []byte, _ int64) { bodies = append(bodies, string(body)) })
		if err != nil {
			t.Fatal(err)
		}
		lost += n
	}
	return bodies, lost
}

func wantRecords(t *testing.T, got []string, records [][]byte) {
	t.Helper()
	var wanted []string
	for _, r := range records {
		wanted = append(wanted, string(r))
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("got %d records, want %d: %.200q, want %.200q", len(got), len(wanted), got, wanted)
	}
}

func TestLog_AppendedRecords_AreReadInOrderAlsoByTheNextProcess(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 64<<20)
	if first := appendTo(t, l, makeRecords(1, 10)); first != 1 {
		t.Errorf("the first record has number %d, want 1", first)
	}
	appendTo(t, l, makeRecords(11, 1))
	got, _ := readAll(t, l)
	wantRecords(t, got, makeRecords(1, 11))
	appendTo(t, l, makeRecords(12, 20))
	got, _ = readAll(t, l)
	wantRecords(t, got, makeRecords(12, 20))
	l.closeFiles() // without saving the position, as if the process were killed

	l = open(t, dir, 64<<20)
	got, lost := readAll(t, l)
	wantRecords(t, got, makeRecords(1, 31))
	if lost != 0 || l.Records() != 31 {
		t.Errorf("%d lost, %d in the log", lost, l.Records())
	}
}

func TestLog_ReleasedRecords_AreNotReadAgainAndFreeTheirSpace(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 4<<20)
	payload := bytes.Repeat([]byte{'p'}, 1000)
	for range 30 { // 0.5 MB in each round, 15 MB in total
		for range 10 {
			appendTo(t, l, slices.Repeat([][]byte{payload}, 50))
		}
		var last uint64
		if _, err := l.Read(1000, 1<<30, func(n uint64, _ []byte, size int64) {
			last = n
			l.Release(n, size)
		}); err != nil {
			t.Fatal(err)
		}
		if last != l.Next()-1 || l.Records() != 0 || l.BacklogBytes() != 0 {
			t.Fatalf("read up to %d of %d; %d records of %d bytes are left", last, l.Next()-1, l.Records(), l.BacklogBytes())
		}
	}
	appendTo(t, l, makeRecords(1, 3))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, 4<<20)
	got, lost := readAll(t, l)
	wantRecords(t, got, makeRecords(1, 3))
	if lost != 0 {
		t.Errorf("%d lost", lost)
	}
}

func TestLog_AllSegmentsGone_ContinuesNumbers(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 16<<20)
	appendTo(t, l, makeRecords(1, 100))
	l.Release(100, 0)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	for _, p := range paths {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	l = open(t, dir, 16<<20)
	appendTo(t, l, makeRecords(101, 1))
	l.closeFiles()
	l = open(t, dir, 16<<20)
	got, _ := readAll(t, l)
	wantRecords(t, got, makeRecords(101, 1))
}

func TestAppend_FullLog_FailsUntilRecordsAreReleased(t *testing.T) {
	l := open(t, t.TempDir(), 1<<20)
	record := [][]byte{make([]byte, 10_000)}
	n := uint64(0)
	for {
		_, err := l.Append(record)
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n < 90 || l.size > 1<<20 {
		t.Fatalf("full with %d records and %d bytes", n, l.size)
	}
	l.Release(n/2, 0)
	if _, err := l.Append(record); err != nil {
		t.Errorf("Append fails after half of the records are released: %v", err)
	}
	got, _ := readAll(t, l)
	if len(got) != int(n-n/2)+1 {
		t.Errorf("read %d records", len(got))
	}
}

func TestDropOldest_SeveralSegments_DropsOneAtATime(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 1<<20)
	for i := range 80 {
		appendTo(t, l, [][]byte{fmt.Appendf(make([]byte, 0, 10_000), "%010000d", i)})
	}
	if _, err := l.Read(3, 1<<20, func(uint64, []byte, int64) {}); err != nil {
		t.Fatal(err)
	}
	dropped, ok := l.DropOldest()
	if !ok || dropped != 23 { // of 26 in a segment of 256 KiB
		t.Errorf("dropped %d records, want 23", dropped)
	}
	got, lost := readAll(t, l)
	if len(got) != 54 || lost != 0 || l.Records() != 54 {
		t.Errorf("%d records are left, %d lost, %d counted", len(got), lost, l.Records())
	}
	for ok {
		_, ok = l.DropOldest()
	}
	if l.Records() != 0 || l.BacklogBytes() != 0 || l.size != 0 {
		t.Errorf("an emptied log has %d records, %d bytes, %d bytes on the disk", l.Records(), l.BacklogBytes(), l.size)
	}
}

func TestAppend_SyncFails_ChangesNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 16<<20)
	broken := errors.New("input/output error")
	fail := func(after int) {
		l.sync = func(f *os.File) error {
			after--
			if after < 0 {
				return broken
			}
			return f.Sync()
		}
	}
	fail(0)
	if _, err := l.Append(makeRecords(1, 5)); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	fail(1) // the file is synced, its directory entry is not
	if _, err := l.Append(makeRecords(1, 5)); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	fail(2)
	appendTo(t, l, makeRecords(1, 5))
	if _, err := l.Append(makeRecords(6, 5)); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	fail(1000)
	appendTo(t, l, makeRecords(6, 5))
	got, lost := readAll(t, l)
	wantRecords(t, got, makeRecords(1, 10))
	l.closeFiles()
	l = open(t, dir, 16<<20)
	got, lostLater := readAll(t, l)
	wantRecords(t, got, makeRecords(1, 10))
	if lost+lostLater != 0 {
		t.Errorf("%d lost", lost+lostLater)
	}
}

func TestOpen_LogInUse_Fails(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, 16<<20)
	if l, err := Open(dir, 16<<20); err == nil {
		l.closeFiles()
		t.Error("the log was opened twice")
	}
}

func TestAppend_BatchLargerThanTheLog_ReturnsErrTooLarge(t *testing.T) {
	l := open(t, t.TempDir(), 1<<20)
	appendTo(t, l, makeRecords(1, 3))
	if _, err := l.Append([][]byte{make([]byte, 1<<20)}); !errors.Is(err, ErrTooLarge) || !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	if _, err := l.Append([][]byte{make([]byte, 1<<20-100)}); !errors.Is(err, ErrFull) || errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	got, _ := readAll(t, l)
	wantRecords(t, got, makeRecords(1, 3))
}
