// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// segmentFiles returns the paths of a log's segments, oldest first.
func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no segments in %s: %v", dir, err)
	}
	return paths
}

// readDamaged creates a log with batches of three records, changes its only segment, and reads
// the log.
func readDamaged(t *testing.T, batches int, change func(data []byte) []byte) (got []string, lost uint64, l *Log) {
	t.Helper()
	dir := t.TempDir()
	l = open(t, dir, 16<<20)
	for i := range batches {
		appendTo(t, l, makeRecords(1+3*i, 3))
	}
	l.closeFiles()
	path := segmentFiles(t, dir)[0]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, 16<<20)
	got, lost = readAll(t, l)
	return got, lost, l
}

func TestOpen_TornTail_LosesOnlyTornRecords(t *testing.T) {
	records := makeRecords(1, 9)
	length := headerSize
	ends := []int{}
	for _, r := range records {
		length += recordHeaderSize + len(r)
		ends = append(ends, length)
	}
	for cut := range length + 1 {
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		got, lost, l := readDamaged(t, 3, func(data []byte) []byte {
			if len(data) != length {
				t.Fatalf("the segment has %d bytes, not %d", len(data), length)
			}
			return data[:cut]
		})
		wantRecords(t, got, records[:whole])
		if lost != 0 {
			t.Errorf("cut at %d: %d records are counted as lost, although Append did not confirm them", cut, lost)
		}
		appendTo(t, l, makeRecords(1, 2)) // the log is still usable
		got, _ = readAll(t, l)
		wantRecords(t, got, makeRecords(1, 2))
		l.closeFiles()
	}
}

func TestRead_FlippedBit_LosesAtMostOneRecord(t *testing.T) {
	records := makeRecords(1, 9)
	length := headerSize
	for _, r := range records {
		length += recordHeaderSize + len(r)
	}
	for at := range length {
		got, lost, l := readDamaged(t, 3, func(data []byte) []byte {
			data[at] ^= 1 << (at % 8)
			return data
		})
		missing := 0
		for _, r := range records {
			if !slices.Contains(got, string(r)) {
				missing++
			}
		}
		switch last := slices.Contains(got, string(records[8])); {
		case missing > 1:
			t.Errorf("bit flipped in byte %d: %d records are missing", at, missing)
		case last && int(lost) != missing:
			t.Errorf("bit flipped in byte %d: %d records are missing, %d are counted as lost", at, missing, lost)
		case at < headerSize && missing > 0:
			t.Errorf("bit flipped in byte %d of the header: %d records are missing", at, missing)
		}
		l.closeFiles()
	}
}

// template contains the files that makeSegments copies.
var template fs.FS

// makeSegments creates a log of 300 records in several segments, and returns the segments' paths.
func makeSegments(t *testing.T, dir string) []string {
	t.Helper()
	if template == nil {
		template = os.DirFS(makeTemplate(t))
	}
	must(t, os.CopyFS(dir, template))
	return segmentFiles(t, dir)
}

func makeTemplate(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "many")
	must(t, err)
	cleanups = append(cleanups, func() { _ = os.RemoveAll(dir) })
	l := open(t, dir, 16<<20)
	for i := range 300 {
		appendTo(t, l, [][]byte{fmt.Appendf(nil, "%08d %s", i+1, strings.Repeat("x", 20_000))})
	}
	l.closeFiles()
	return dir
}

func TestRead_DamagedSegment_ReadsTheOtherSegments(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string){
		"emptied": func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
		"cut":     func(t *testing.T, path string) { must(t, os.Truncate(path, 100_000)) },
		"overwritten": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.WriteFile(path, make([]byte, info.Size()), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			paths := makeSegments(t, dir)
			if len(paths) < 4 {
				t.Fatalf("%d segments", len(paths))
			}
			change(t, paths[1])
			l := open(t, dir, 16<<20)
			got, lost := readAll(t, l)
			if len(got)+int(lost) != 300 || lost == 0 || lost > 60 {
				t.Errorf("%d read, %d lost", len(got), lost)
			}
			for i := 1; i < len(got); i++ {
				if got[i-1] >= got[i] {
					t.Fatalf("%.8s comes before %.8s", got[i-1], got[i])
				}
			}
			if quarantined := len(l.Quarantined()); quarantined != 0 != (name == "overwritten") {
				t.Errorf("%d files are quarantined", quarantined)
			}
			l.Release(300, 0)
			if l.Records() != 0 {
				t.Errorf("%d records are left", l.Records())
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRead_PayloadLikeARecordAfterDamage_IsNotRead(t *testing.T) {
	fake := appendRecord(nil, 0, 2, []byte("forged"))
	dir := t.TempDir()
	l := open(t, dir, 16<<20)
	appendTo(t, l, [][]byte{fake, []byte("true")})
	l.closeFiles()
	path := segmentFiles(t, dir)[0]
	data, err := os.ReadFile(path)
	must(t, err)
	data[headerSize+4] ^= 0xff // the length of the first record
	must(t, os.WriteFile(path, data, 0o600))
	l = open(t, dir, 16<<20)
	got, lost := readAll(t, l)
	if len(got) != 1 || got[0] != "true" || lost != 1 {
		t.Errorf("read %q, %d lost", got, lost)
	}
}

func TestPosition_Damaged_RepeatsRecordsAndLosesNone(t *testing.T) {
	for _, content := range []string{"", "garbage", strings.Repeat("\xff", 1024)} {
		dir := t.TempDir()
		l := open(t, dir, 16<<20)
		appendTo(t, l, makeRecords(1, 9))
		l.Release(4, 0)
		must(t, l.Close())
		must(t, os.WriteFile(filepath.Join(dir, positionName), []byte(content), 0o600))
		l = open(t, dir, 16<<20)
		got, _ := readAll(t, l)
		wantRecords(t, got, makeRecords(1, 9))
		l.closeFiles()
	}
}
