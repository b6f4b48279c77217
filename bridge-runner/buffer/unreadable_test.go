// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unreadable has functions that make a segment unreadable (begin) and readable again (end).
var unreadable = map[string]struct {
	begin, end func(t *testing.T, path string)
}{
	"moved away": {
		begin: func(t *testing.T, path string) { must(t, os.Rename(path, path+".away")) },
		end:   func(t *testing.T, path string) { must(t, os.Rename(path+".away", path)) },
	},
	"a directory in its place": {
		begin: func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".away"))
			must(t, os.Mkdir(path, 0o700))
		},
		end: func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Rename(path+".away", path))
		},
	},
	"a symbolic link to itself": { // open returns ELOOP
		begin: func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".away"))
			must(t, os.Symlink(path, path))
		},
		end: func(t *testing.T, path string) { must(t, os.Rename(path+".away", path)) },
	},
}

// readAndDefer reads all records from the cursor to the end of the log, and defers those that
// cannot be read.
func readAndDefer(t *testing.T, l *Log) (bodies []string, lost uint64) {
	t.Helper()
	for l.Cursor() < l.Next() {
		n, err := l.Read(7, 1<<20, func(_ uint64, body []byte, _ int64) { bodies = append(bodies, string(body)) })
		lost += n
		if err != nil {
			if _, err := l.Defer(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return bodies, lost
}

// restoreAll restores and reads all records that can be read again.
func restoreAll(t *testing.T, l *Log) (bodies []string, lost uint64) {
	t.Helper()
	for {
		if ok, _ := l.Readable(); !ok {
			return bodies, lost
		}
		_, n, err := l.Restore(100_000)
		var unwritten *restoreError
		if errors.As(err, &unwritten) {
			t.Fatal(err)
		}
		lost += n
		got, n := readAndDefer(t, l)
		bodies, lost = append(bodies, got...), lost+n
	}
}

// recordNumber returns the number in the body of a record of makeSegments.
func recordNumber(body string) (n int) {
	_, _ = fmt.Sscanf(body, "%d", &n)
	return n
}

// wantAll checks that got has each of the records 1 to last once.
func wantAll(t *testing.T, got []string, last int) {
	t.Helper()
	numbers := make([]int, 0, len(got))
	for _, body := range got {
		numbers = append(numbers, recordNumber(body))
	}
	slices.Sort(numbers)
	for i := range last {
		if i >= len(numbers) || numbers[i] != i+1 {
			t.Fatalf("%d records were read; record %d is missing or repeated", len(numbers), i+1)
		}
	}
	if len(numbers) != last {
		t.Fatalf("%d records were read", len(numbers))
	}
}

// wantEmpty releases all records, and checks that the log leaves no segments.
func wantEmpty(t *testing.T, l *Log) {
	t.Helper()
	l.Release(l.Next()-1, l.BacklogBytes())
	parts, _, _ := l.Deferred()
	if l.Records() != 0 || l.BacklogBytes() != 0 || parts != 0 || l.DiskUsage() > l.segmentSize {
		t.Errorf("%d records of %d bytes are left, %d parts are deferred, %d bytes are used", l.Records(), l.BacklogBytes(), parts, l.DiskUsage())
	}
	must(t, l.Close())
	paths, _ := filepath.Glob(filepath.Join(l.dir, "*"+segmentSuffix+"*"))
	if len(paths) != 0 {
		t.Errorf("segments are left: %q", paths)
	}
}

// places selects the segments of makeSegments that are unreadable.
var places = map[string]func(paths []string) []string{
	"the first":       func(paths []string) []string { return paths[:1] },
	"a middle one":    func(paths []string) []string { return paths[2:3] },
	"two in a row":    func(paths []string) []string { return paths[1:3] },
	"two apart":       func(paths []string) []string { return []string{paths[1], paths[3]} },
	"the last":        func(paths []string) []string { return paths[len(paths)-1:] },
	"the last two":    func(paths []string) []string { return paths[len(paths)-2:] },
	"all of them":     func(paths []string) []string { return paths },
	"all but the end": func(paths []string) []string { return paths[:len(paths)-1] },
}

// eachUnreadable runs a test for each combination of unreadable and places.
func eachUnreadable(t *testing.T, run func(t *testing.T, dir string, begin, end func())) {
	for way, change := range unreadable {
		for place, which := range places {
			t.Run(strings.ReplaceAll(way+"/"+place, " ", "_"), func(t *testing.T) {
				dir := t.TempDir()
				paths := which(makeSegments(t, dir))
				run(t, dir, func() {
					for _, p := range paths {
						change.begin(t, p)
					}
				}, func() {
					for _, p := range paths {
						change.end(t, p)
					}
				})
			})
		}
	}
}

func TestUnreadableSegment_WhileOpen_IsDeferredAndRestored(t *testing.T) {
	eachUnreadable(t, func(t *testing.T, dir string, begin, end func()) {
		l := open(t, dir, 16<<20)
		taken := l.DiskUsage()
		begin()
		got, lost := readAndDefer(t, l)
		if l.DiskUsage() != taken {
			t.Errorf("the log uses %d bytes, want %d", l.DiskUsage(), taken)
		}
		l.Release(l.Cursor()-1, 0)
		if want := uint64(300 - len(got)); l.Records() != want || want == 0 {
			t.Errorf("%d records are left, want %d", l.Records(), want)
		}
		if _, records, bytes := l.Deferred(); records != l.Records() || bytes < int64(records)*20_000 {
			t.Errorf("%d records of %d bytes are deferred, %d are left", records, bytes, l.Records())
		}
		end()
		restored, lostLater := restoreAll(t, l)
		if lost+lostLater > 0 {
			t.Errorf("%d are lost", lost+lostLater)
		}
		wantAll(t, append(got, restored...), 300)
		wantEmpty(t, l)
	})
}

func TestUnreadableSegment_WhenOpened_IsDeferredAndRestored(t *testing.T) {
	eachUnreadable(t, func(t *testing.T, dir string, begin, end func()) {
		begin()
		l := open(t, dir, 16<<20)
		got, lost := readAndDefer(t, l)
		appendTo(t, l, [][]byte{[]byte("live")})
		more, lostLater := readAndDefer(t, l)
		wantRecords(t, more, [][]byte{[]byte("live")})
		end()
		restored, lostLast := restoreAll(t, l)
		if lost+lostLater+lostLast > 0 {
			t.Errorf("%d, %d, %d are lost", lost, lostLater, lostLast)
		}
		wantAll(t, append(got, restored...), 300)
		wantEmpty(t, l)
	})
}

func TestUnreadableSegment_NextProcesses_KeepAndRestoreIt(t *testing.T) {
	eachUnreadable(t, func(t *testing.T, dir string, begin, end func()) {
		l := open(t, dir, 16<<20)
		taken := l.DiskUsage()
		begin()
		got, lost := readAndDefer(t, l)
		for _, kill := range []bool{true, false, true} {
			l.Release(l.Cursor()-1, l.bytes)
			must(t, l.Save(false))
			messages := l.Records()
			if kill {
				l.closeFiles()
			} else {
				must(t, l.Close())
			}
			l = open(t, dir, 16<<20)
			if l.Records() != messages {
				t.Errorf("%d records are left, want %d", l.Records(), messages)
			}
			if _, _, bytes := l.Deferred(); l.DiskUsage() < bytes || l.DiskUsage() > taken {
				t.Errorf("the log uses %d bytes, at first %d; %d bytes are deferred", l.DiskUsage(), taken, bytes)
			}
			more, n := readAndDefer(t, l)
			if len(more) > 0 || n > 0 {
				t.Errorf("%d are read again, %d lost", len(more), n)
			}
		}
		end()
		restored, lostLater := restoreAll(t, l)
		if lost+lostLater > 0 {
			t.Errorf("%d are lost", lost+lostLater)
		}
		wantAll(t, append(got, restored...), 300)
		wantEmpty(t, l)
	})
}

func TestUnreadableSegment_KilledBeforeRelease_NothingIsLost(t *testing.T) {
	eachUnreadable(t, func(t *testing.T, dir string, begin, end func()) {
		l := open(t, dir, 16<<20)
		if _, err := l.Read(10, 1<<30, func(uint64, []byte, int64) {}); err != nil {
			t.Fatal(err)
		}
		begin()
		l.closeReader()
		_, _ = readAndDefer(t, l) // none of the records is released
		end()
		_, _, _ = l.Restore(100_000)
		l.closeFiles()
		l = open(t, dir, 16<<20)
		got, lost := readAndDefer(t, l)
		restored, lostLater := restoreAll(t, l)
		if lost+lostLater > 0 {
			t.Errorf("%d are lost", lost+lostLater)
		}
		seen := map[int]bool{}
		for _, body := range append(got, restored...) {
			seen[recordNumber(body)] = true
		}
		if len(seen) != 300 {
			t.Errorf("%d of 300 are read", len(seen))
		}
	})
}

func TestUnreadableSegment_DamagedWhenItReturns_IsLost(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"an empty file in its place": func([]byte) []byte { return nil },
		"cut":                        func(data []byte) []byte { return data[:100_000] },
		"overwritten":                func(data []byte) []byte { return make([]byte, len(data)) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			dir := t.TempDir()
			path := makeSegments(t, dir)[1]
			data, err := os.ReadFile(path)
			must(t, err)
			must(t, os.Remove(path))
			l := open(t, dir, 16<<20)
			got, lost := readAndDefer(t, l)
			if lost > 0 {
				t.Errorf("%d are said to be lost, and may come back", lost)
			}
			must(t, os.WriteFile(path, damage(data), 0o600))
			restored, lost := restoreAll(t, l)
			if lost == 0 || len(got)+len(restored)+int(lost) != 300 {
				t.Errorf("%d and %d were read, %d are lost", len(got), len(restored), lost)
			}
			wantEmpty(t, l)
		})
	}
}

func TestUnreadableSegment_DamagedWhenTheNextProcessOpensIt_IsLost(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"cut":         func(data []byte) []byte { return data[:headerSize+12] },
		"overwritten": func(data []byte) []byte { return make([]byte, len(data)) },
	} {
		for place, which := range map[string]int{"the last": 5, "a middle one": 2} {
			t.Run(strings.ReplaceAll(name+"/"+place, " ", "_"), func(t *testing.T) {
				dir := t.TempDir()
				path := makeSegments(t, dir)[which]
				data, err := os.ReadFile(path)
				must(t, err)
				must(t, os.Remove(path))
				must(t, os.Mkdir(path, 0o700))
				l := open(t, dir, 16<<20)
				if _, lost := readAndDefer(t, l); lost > 0 {
					t.Errorf("%d are said to be lost, and may come back", lost)
				}
				l.Release(l.Cursor()-1, 0)
				must(t, l.Close())
				must(t, os.Remove(path))
				must(t, os.WriteFile(path, damage(data), 0o600))
				l = open(t, dir, 16<<20)
				if restored, lost := restoreAll(t, l); lost == 0 || len(restored) > 0 {
					t.Errorf("%d were read, %d are lost", len(restored), lost)
				}
				if parts, _, _ := l.Deferred(); parts > 0 {
					t.Errorf("%d parts are deferred, although no record is left to read", parts)
				}
				appendTo(t, l, [][]byte{[]byte("more")})
				if got, _ := readAndDefer(t, l); !slices.Equal(got, []string{"more"}) {
					t.Errorf("read %q after them", got)
				}
				must(t, l.Close())
			})
		}
	}
}

func TestUnreadableSegment_EmptyFileInItsPlace_CountsAsLost(t *testing.T) {
	for place, which := range places {
		t.Run(strings.ReplaceAll(place, " ", "_"), func(t *testing.T) {
			dir := t.TempDir()
			for _, path := range which(makeSegments(t, dir)) {
				must(t, os.Remove(path))
			}
			l := open(t, dir, 16<<20)
			_, lost := readAndDefer(t, l)
			l.Release(l.Cursor()-1, 0)
			for range 10 {
				restored, more := restoreAll(t, l)
				if lost += more; len(restored) > 0 {
					t.Errorf("%d were read", len(restored))
				}
				_, err := l.Readable()
				var missing errMissing
				if !errors.As(err, &missing) {
					break
				}
				path := l.path(missing.number)
				if _, err := os.Stat(path); err == nil {
					t.Fatalf("%s is reported as missing", path)
				}
				must(t, os.WriteFile(path, nil, 0o600))
			}
			if lost == 0 {
				t.Error("no records are counted as lost")
			}
			wantEmpty(t, l)
		})
	}
}

func TestDropOldest_UnreadableSegment_IsDroppedLast(t *testing.T) {
	dir := t.TempDir()
	paths := makeSegments(t, dir)
	must(t, os.Rename(paths[0], paths[0]+".away"))
	l := open(t, dir, 16<<20)
	if _, err := l.Read(1, 1, func(uint64, []byte, int64) {}); err == nil {
		t.Fatal("the record was read")
	}
	records, err := l.Defer()
	must(t, err)
	appendTo(t, l, [][]byte{[]byte("live")})
	total := uint64(0)
	for l.segments[0] != l.last() {
		dropped, ok := l.DropOldest()
		if !ok {
			t.Fatal("nothing can be dropped")
		}
		total += dropped
	}
	if total != 300-records || l.Records() != records+1 {
		t.Fatalf("%d are dropped, %d left", total, l.Records())
	}
	if dropped, ok := l.DropOldest(); dropped != records || ok { // the missing segment used no disk space
		t.Errorf("%d are dropped", dropped)
	}
	got, _ := readAndDefer(t, l)
	wantRecords(t, got, [][]byte{[]byte("live")})
}

func TestMakeDirectory_EveryLevelMade_SyncsItsParent(t *testing.T) {
	root := t.TempDir()
	var synced []string
	record := func(dir string) error {
		synced = append(synced, dir)
		return nil
	}
	must(t, makeDirectory(filepath.Join(root, "a", "b", "c"), record))
	if want := []string{filepath.Join(root, "a", "b"), filepath.Join(root, "a"), root}; !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q", synced, want)
	}
	synced = nil
	must(t, makeDirectory(filepath.Join(root, "a", "b", "c"), record))
	if synced != nil {
		t.Errorf("synced %q, although no directory was created", synced)
	}
	broken := errors.New("input/output error")
	dir := filepath.Join(root, "d", "e")
	if err := makeDirectory(dir, func(string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	must(t, makeDirectory(dir, record)) // creates and syncs all levels again
	if len(synced) != 2 {
		t.Errorf("synced %q, want two directories", synced)
	}
}

func TestPosition_Unreadable_FailsOpenAndKeepsTheLog(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 16<<20)
	appendTo(t, l, makeRecords(1, 9))
	l.Release(4, 0)
	must(t, l.Close())
	path := filepath.Join(dir, positionName)
	must(t, os.Rename(path, path+".away"))
	must(t, os.Mkdir(path, 0o700))
	if l, err := Open(dir, 16<<20); err == nil {
		l.closeFiles()
		t.Error("the log was opened without its position")
	}
	must(t, os.Remove(path))
	must(t, os.Rename(path+".away", path))
	l = open(t, dir, 16<<20)
	got, lost := readAll(t, l)
	wantRecords(t, got, makeRecords(5, 5))
	if lost > 0 {
		t.Errorf("%d are lost", lost)
	}
}

// The position and the ledger are in different blocks of the file. A damaged disk may lose either
// of them.
func TestPosition_PartOfTheFileDamaged_RepeatsRecordsAndLosesNone(t *testing.T) {
	for name, damaged := range map[string][2]int{"position": {0, ledgerStart}, "ledger": {ledgerStart, positionFileSize}, "both": {0, positionFileSize}} {
		for _, with := range []byte{0, 0xff} {
			t.Run(fmt.Sprintf("%s_%02x", name, with), func(t *testing.T) {
				dir := t.TempDir()
				makeSegments(t, dir)
				l := open(t, dir, 16<<20)
				for l.Cursor() <= 150 {
					_, err := l.Read(10, 1<<20, func(uint64, []byte, int64) {})
					must(t, err)
				}
				l.Release(150, 0)
				must(t, l.Save(true))
				l.closeFiles()
				path := filepath.Join(dir, positionName)
				data, err := os.ReadFile(path)
				must(t, err)
				for i := damaged[0]; i < damaged[1]; i++ {
					data[i] = with
				}
				must(t, os.WriteFile(path, data, 0o600))
				l = open(t, dir, 16<<20)
				got, lost := readAndDefer(t, l)
				if len(got) < 150 || recordNumber(got[len(got)-1]) != 300 || lost > 0 {
					t.Errorf("%d records were read, %d are lost", len(got), lost)
				}
				wantEmpty(t, l)
			})
		}
	}
}

func TestPosition_ReplacedWhileOpen_IsWrittenToTheNewFile(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 16<<20)
	appendTo(t, l, makeRecords(1, 9))
	must(t, os.Remove(filepath.Join(dir, positionName)))
	l.Release(4, 0)
	must(t, l.Save(true))
	l.closeFiles()
	l = open(t, dir, 16<<20)
	got, _ := readAll(t, l)
	wantRecords(t, got, makeRecords(5, 5))
}

func TestPosition_NotWritable_RemovesNothingUntilItIs(t *testing.T) {
	dir := t.TempDir()
	paths := makeSegments(t, dir)
	l := open(t, dir, 16<<20)
	must(t, os.Rename(paths[1], paths[1]+".away"))
	must(t, l.position.file.Close())
	must(t, os.Rename(l.position.path, l.position.path+".away"))
	must(t, os.Mkdir(l.position.path, 0o700))
	for l.Cursor() < l.Next() {
		if _, err := l.Read(100, 1<<30, func(uint64, []byte, int64) {}); err != nil {
			if _, err := l.Defer(); err == nil {
				t.Error("Defer reports that the deferral is saved")
			}
		}
	}
	l.Release(300, 0)
	if n := len(segmentFiles(t, dir)); n != len(paths)-1 {
		t.Errorf("%d segments are left, want %d", n, len(paths)-1)
	}
	must(t, os.Remove(l.position.path))
	must(t, os.Rename(l.position.path+".away", l.position.path))
	must(t, l.Save(true))
	l.Release(300, 0)
	must(t, os.Rename(paths[1]+".away", paths[1]))
	restored, lost := restoreAll(t, l)
	if len(restored) < 40 || lost > 0 {
		t.Errorf("%d are restored, %d lost", len(restored), lost)
	}
	wantEmpty(t, l)
}

// The newest segment, whose records are released in part, is away when the process starts. An
// older segment, whose records are all released, returns before it.
func TestUnreadableSegment_ReleasedOneReturnsBeforeTheNewest_NothingIsLost(t *testing.T) {
	dir := t.TempDir()
	paths := makeSegments(t, dir)
	older, newest := paths[0], paths[len(paths)-1]
	data, err := os.ReadFile(older)
	must(t, err)
	l := open(t, dir, 16<<20)
	all, _ := readAndDefer(t, l)
	const left = 5
	l.Release(l.Cursor()-1-left, 0)
	must(t, l.Save(true))
	must(t, l.Close())
	must(t, os.Rename(newest, newest+".away"))
	l = open(t, dir, 16<<20)
	must(t, os.WriteFile(older, data, 0o600))
	if got, lost := restoreAll(t, l); len(got) > 0 || lost > 0 {
		t.Errorf("%d were read, and %d are lost, without the newest segment", len(got), lost)
	}
	must(t, os.Rename(newest+".away", newest))
	if got, lost := restoreAll(t, l); !slices.Equal(got, all[len(all)-left:]) || lost > 0 {
		t.Errorf("%d were read, and %d are lost; want %d", len(got), lost, left)
	}
	must(t, l.Close())
}

// The newest segment is away when the process starts, and the segment that this process creates is
// away when the next process starts. The order in which the two return must not matter, and
// neither must it matter if the segment before them can be read.
func TestUnreadableSegment_NewestOfTwoProcessesAway_EachRecordComesOnce(t *testing.T) {
	for name, second := range map[string]bool{"first returns first": false, "second returns first": true} {
		for _, unreadable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, unreadable %t", name, unreadable), func(t *testing.T) {
				dir := t.TempDir()
				paths := makeSegments(t, dir)
				before, first := paths[len(paths)-2], paths[len(paths)-1]
				away := []string{first}
				must(t, os.Rename(first, first+".away"))
				l := open(t, dir, 16<<20)
				var more [][]byte
				for n := 301; n <= 309; n++ {
					more = append(more, strconv.AppendInt(nil, int64(n), 10))
				}
				appendTo(t, l, more)
				l.closeFiles()
				files := segmentFiles(t, dir)
				newest := files[len(files)-1]
				must(t, os.Rename(newest, newest+".away"))
				away = append(away, newest)
				if unreadable {
					must(t, os.Rename(before, before+".away"))
					must(t, os.Mkdir(before, 0o700))
				}
				l = open(t, dir, 16<<20)
				wantDisjoint(t, l)
				got, lost := readAndDefer(t, l)
				if second {
					slices.Reverse(away)
				}
				for _, path := range away {
					must(t, os.Rename(path+".away", path))
					restored, more := restoreAll(t, l)
					got, lost = append(got, restored...), lost+more
				}
				if unreadable {
					must(t, os.Remove(before))
					must(t, os.Rename(before+".away", before))
					restored, more := restoreAll(t, l)
					got, lost = append(got, restored...), lost+more
				}
				if lost > 0 {
					t.Errorf("%d are lost", lost)
				}
				wantAll(t, got, 309)
				wantEmpty(t, l)
			})
		}
	}
}

// wantDisjoint checks that no record is deferred twice.
func wantDisjoint(t *testing.T, l *Log) {
	t.Helper()
	end := uint64(0)
	for _, d := range l.deferrals() {
		if d.from < end || d.end <= d.from {
			t.Errorf("records %d up to %d are deferred, and so are records up to %d", d.from, d.end, end)
		}
		end = d.end
	}
}
