// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"encoding/binary"
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var (
	randomFor  = flag.Duration("random", 3*time.Second, "duration of the test that uses logs randomly while parts of them disappear and return")
	randomSeed = flag.Uint64("seed", 0, "seed of the random numbers; 0: a random seed")
)

// user uses a log as the delivery does, moves parts of it away and moves them back.
type user struct {
	t   *testing.T
	rnd *rand.Rand
	// dir is the log's directory.
	dir string
	// safe is the directory that contains the files that are away.
	safe string
	l    *Log

	// appended and released have the identifiers of these records.
	appended map[uint64]bool
	released map[uint64]bool
	queue    []readRecord
	// next is the identifier of the last appended record.
	next uint64
	lost uint64
	// away has the names of the files that are away.
	away    map[string]bool
	dirAway bool
}

// readRecord is a record that was read and is not yet released.
type readRecord struct {
	id, number uint64
	size       int64
}

func TestRandom_PartsDisappearAndReturn_NothingIsLost(t *testing.T) {
	seed := *randomSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	n := 0
	for end := time.Now().Add(*randomFor); time.Now().Before(end) && !t.Failed(); n++ {
		base := t.TempDir()
		u := &user{
			t: t, rnd: rand.New(rand.NewPCG(seed, uint64(n))), dir: filepath.Join(base, "log"), safe: filepath.Join(base, "safe"),
			appended: map[uint64]bool{}, released: map[uint64]bool{}, away: map[string]bool{},
		}
		must(t, os.Mkdir(u.safe, 0o700))
		u.open()
		for range 200 + u.rnd.IntN(400) {
			u.step()
			wantDisjoint(t, u.l)
		}
		u.finish()
		_ = os.RemoveAll(base)
		if t.Failed() {
			t.Logf("seed %d, log %d", seed, n)
		}
	}
	t.Logf("%d logs, seed %d", n, seed)
}

func (u *user) open() {
	l, err := Open(u.dir, 4<<20)
	if err != nil {
		u.t.Fatal(err)
	}
	u.l, u.queue = l, nil
}

// step performs a random operation.
func (u *user) step() {
	switch n := u.rnd.IntN(100); {
	case n < 35:
		u.append()
	case n < 60:
		u.read()
	case n < 75:
		u.release(u.rnd.IntN(len(u.queue) + 1))
	case n < 82:
		u.restore()
	case n < 88:
		u.takeAway()
	case n < 93:
		u.bringBack()
	case n < 95:
		u.moveDirectory()
	case n < 98 && !u.dirAway:
		u.l.closeFiles() // as if the process were killed
		u.open()
	case !u.dirAway:
		_ = u.l.Close()
		u.open()
	}
}

func (u *user) append() {
	var records [][]byte
	for range 1 + u.rnd.IntN(20) {
		u.next++
		records = append(records, binary.BigEndian.AppendUint64(make([]byte, 0, 20_000), u.next)[:8+u.rnd.IntN(19_000)])
	}
	if _, err := u.l.Append(records); err != nil {
		return
	}
	for i := range records {
		u.appended[u.next-uint64(i)] = true
	}
}

func (u *user) read() {
	lost, err := u.l.Read(1+u.rnd.IntN(100), 1<<20, func(number uint64, body []byte, size int64) {
		u.queue = append(u.queue, readRecord{binary.BigEndian.Uint64(body), number, size})
	})
	u.lost += lost
	if err != nil && u.rnd.IntN(3) == 0 {
		_, _ = u.l.Defer() // an error means that the disk cannot be written
	}
}

func (u *user) release(n int) {
	number, size := uint64(0), int64(0)
	for _, h := range u.queue[:n] {
		u.released[h.id] = true
		number, size = h.number, size+h.size
	}
	if u.queue = u.queue[n:]; len(u.queue) == 0 {
		number = u.l.Cursor() - 1
	}
	u.l.Release(number, size)
	if u.rnd.IntN(4) > 0 {
		_ = u.l.Save(u.rnd.IntN(5) == 0)
	}
}

func (u *user) restore() {
	if ok, _ := u.l.Readable(); !ok {
		return
	}
	_, lost, _ := u.l.Restore(1 + u.rnd.Int64N(200_000))
	u.lost += lost
}

func (u *user) takeAway() {
	if u.dirAway {
		return
	}
	paths, _ := filepath.Glob(filepath.Join(u.dir, "*"+segmentSuffix))
	if len(paths) == 0 {
		return
	}
	path := paths[u.rnd.IntN(len(paths))]
	name := filepath.Base(path)
	if info, err := os.Lstat(path); err != nil || info.IsDir() || u.away[name] {
		return
	}
	must(u.t, os.Rename(path, filepath.Join(u.safe, name)))
	u.away[name] = true
	if u.rnd.IntN(2) == 0 {
		must(u.t, os.Mkdir(path, 0o700))
	}
}

func (u *user) bringBack() {
	if u.dirAway {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(u.away)) {
		path := filepath.Join(u.dir, name)
		if info, err := os.Lstat(path); err == nil {
			if !info.IsDir() {
				u.t.Fatalf("%s was created while it was away", name)
			}
			must(u.t, os.Remove(path))
		}
		must(u.t, os.Rename(filepath.Join(u.safe, name), path))
		delete(u.away, name)
		if u.rnd.IntN(2) == 0 {
			return
		}
	}
}

func (u *user) moveDirectory() {
	if u.dirAway {
		must(u.t, os.Rename(u.dir+".away", u.dir))
	} else {
		must(u.t, os.Rename(u.dir, u.dir+".away"))
	}
	u.dirAway = !u.dirAway
}

// finish moves all parts back, and checks that all records are read.
func (u *user) finish() {
	if u.dirAway {
		u.moveDirectory()
	}
	for len(u.away) > 0 {
		u.bringBack()
	}
	if u.rnd.IntN(2) == 0 {
		u.l.closeFiles()
		u.open()
	}
	for range 1000 {
		lost, err := u.l.Read(1000, 1<<20, func(number uint64, body []byte, size int64) {
			u.queue = append(u.queue, readRecord{binary.BigEndian.Uint64(body), number, size})
		})
		u.lost += lost
		if err != nil {
			_, err := u.l.Defer()
			must(u.t, err)
		}
		u.release(len(u.queue))
		ok, _ := u.l.Readable()
		if !ok && u.l.Cursor() == u.l.Next() {
			break
		}
		_, lost, err = u.l.Restore(1 << 20)
		u.lost += lost
		if w := (*restoreError)(nil); errors.As(err, &w) {
			u.t.Error(err)
		}
	}
	if u.lost > 0 {
		u.t.Errorf("%d records are counted as lost", u.lost)
	}
	missing := 0
	for id := range u.appended {
		if !u.released[id] {
			missing++
		}
	}
	parts, records, bytes := u.l.Deferred()
	if missing > 0 || parts > 0 || u.l.Records() > 0 || u.l.BacklogBytes() > 0 || u.l.DiskUsage() > u.l.segmentSize+20_000 {
		u.t.Errorf("%d of %d are missing; %d parts of %d records and %d bytes are deferred; %d records of %d bytes are left, %d bytes are used",
			missing, len(u.appended), parts, records, bytes, u.l.Records(), u.l.BacklogBytes(), u.l.DiskUsage())
		for _, d := range u.l.deferrals() {
			u.t.Logf("deferred: %+v", *d)
		}
		files, _ := filepath.Glob(filepath.Join(u.dir, "*"))
		u.t.Logf("files: %q", files)
	}
	u.l.closeFiles()
}
