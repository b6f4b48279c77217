// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

const storedMessages = 1500

// newBacklog makes a log of 1,500 messages in several segments, and returns its
// directory.
func newBacklog(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "disk")
	l, err := buffer.Open(dir, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < storedMessages; i += 100 {
		var records [][]byte
		for n := range 100 {
			m := &outgoing{}
			m.ReceivedAt = time.Now()
			m.Message = session.Message{Topic: fmt.Sprintf("t/%d", i+n), Payload: strings.Repeat("x", 2000), QoS: 1}
			record, _ := appendStored(nil, m)
			records = append(records, record)
		}
		if _, err := l.Append(records); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newStoredWorld(t *testing.T, dir string, patience time.Duration) *diskWorld {
	return newDiskWorld(t, packet.V311, dir, func(o *Options) { o.Disk.Bytes, o.Disk.deferAfterInTest = 4<<20, patience })
}

// acknowledgeNext reads and acknowledges n messages, and returns their numbers.
func (w *diskWorld) acknowledgeNext(n int) (got []int) {
	w.t.Helper()
	for range n {
		p := w.destination.Next()
		var i int
		if _, err := fmt.Sscanf(p.Topic, "t/%d", &i); err != nil {
			w.t.Fatalf("got %s", p)
		}
		got = append(got, i)
		w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
	}
	return got
}

// segmentsOf returns the log's segments, oldest first.
func segmentsOf(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d segments: %v", len(paths), err)
	}
	return paths
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// wantOnce fails unless each of n messages arrived once.
func wantOnce(t *testing.T, got []int, n int) {
	t.Helper()
	seen := make([]int, n)
	for _, i := range got {
		seen[i]++
	}
	for i, times := range seen {
		if times != 1 {
			t.Fatalf("message %d arrived %d times", i, times)
		}
	}
}

func TestUnreadableSegment_BackSoon_KeepsTheOrder(t *testing.T) {
	dir := newBacklog(t)
	w := newStoredWorld(t, dir, time.Hour)
	w.waitState(v1alpha1.BacklogBuffering)
	paths := segmentsOf(t, dir)
	rename(t, paths[len(paths)-2], paths[len(paths)-2]+".away")
	w.destination.up(false)
	got := w.acknowledgeNext(1000)
	if said := w.waitState(v1alpha1.BacklogFailed); !strings.Contains(said, "no such file") || !strings.Contains(said, "check the volume") {
		t.Errorf("the message of the failure is %q", said)
	}
	rename(t, paths[len(paths)-2]+".away", paths[len(paths)-2])
	got = append(got, w.acknowledgeNext(storedMessages-1000)...)
	for i, n := range got {
		if n != i {
			t.Fatalf("message %d is %d", i, n)
		}
	}
	w.waitState(v1alpha1.BacklogEmpty)
	w.waitDropped(DropDamaged, 0)
}

// The records in front of the unreadable segment are read by the same call that fails.
func TestUnreadableSegment_RecordsInFrontOfIt_AreSentAtOnce(t *testing.T) {
	dir := newBacklog(t)
	path := segmentsOf(t, dir)[3]
	rename(t, path, path+".away")
	w := newWorldWith(t, packet.V311, Options{Disk: &Disk{Dir: dir, Bytes: 4 << 20}}, everything)
	w.destination.up(false)
	w.pipe.spool.step() // RunSpool does not run
	t.Cleanup(w.pipe.spool.closeLog)
	if p := w.destination.Next(); p.Topic != "t/0" {
		t.Errorf("got %s", p)
	}
}

// unreadableFor runs a test for each way in which a part of a log becomes unreadable.
func unreadableFor(t *testing.T, run func(t *testing.T, dir string, begin, end func())) {
	t.Run("moved", func(t *testing.T) {
		dir := newBacklog(t)
		path := segmentsOf(t, dir)[12] // more than the pipe reads ahead
		run(t, dir, func() { rename(t, path, path+".away") }, func() { rename(t, path+".away", path) })
	})
	t.Run("directory_in_its_place", func(t *testing.T) {
		dir := newBacklog(t)
		path := segmentsOf(t, dir)[12] // more than the pipe reads ahead
		run(t, dir, func() {
			rename(t, path, path+".away")
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			rename(t, path+".away", path)
		})
	})
}

func TestUnreadableSegment_ForLong_IsDeliveredBehindLaterMessages(t *testing.T) {
	unreadableFor(t, func(t *testing.T, dir string, begin, end func()) {
		w := newStoredWorld(t, dir, 50*time.Millisecond)
		w.waitState(v1alpha1.BacklogBuffering)
		begin()
		w.destination.up(false)
		got := w.acknowledgeNext(1000)
		behind := storedMessages - w.wantDeferred()
		got = append(got, w.acknowledgeNext(behind-1000)...)
		w.source.connect(false, nil)
		w.source.Send(script.Publish(1, 1, fmt.Sprintf("t/%d", storedMessages), "live"))
		got = append(got, w.acknowledgeNext(1)...)
		w.source.Want("PUBACK 1")
		end()
		got = append(got, w.acknowledgeNext(storedMessages-behind)...)
		wantOnce(t, got, storedMessages+1)
		w.waitState(v1alpha1.BacklogEmpty)
		w.waitDropped(DropDamaged, 0)
	})
}

// wantDeferred waits until a part of the log is deferred, and returns the number of
// messages in it.
func (w *diskWorld) wantDeferred() (messages int) {
	w.t.Helper()
	eventually(w.t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		said := w.pipe.spool.unreadable
		if _, err := fmt.Sscanf(said, "%d messages of the backlog", &messages); err != nil || !w.pipe.spool.allRead {
			return fmt.Errorf("nothing is deferred: %q", said)
		}
		return nil
	})
	return messages
}

func TestUnreadableSegment_RunnerRestarted_IsDeliveredAfterwards(t *testing.T) {
	unreadableFor(t, func(t *testing.T, dir string, begin, end func()) {
		begin()
		w := newStoredWorld(t, dir, 50*time.Millisecond)
		w.destination.up(false)
		got := w.acknowledgeNext(1000)
		deferred := w.wantDeferred()
		got = append(got, w.acknowledgeNext(storedMessages-deferred-1000)...)
		eventually(t, func() error {
			if n := w.pipe.Backlog().Messages; n != uint64(deferred) {
				return fmt.Errorf("the backlog has %d messages, %d are deferred", n, deferred)
			}
			return nil
		})
		w.pipe.Drain(t.Context())
		w.stop()
		w = newStoredWorld(t, dir, time.Hour)
		w.destination.up(false)
		if n := w.wantDeferred(); n != deferred {
			t.Errorf("%d messages are deferred, %d were", n, deferred)
		}
		end()
		got = append(got, w.acknowledgeNext(deferred)...)
		wantOnce(t, got, storedMessages)
		w.waitState(v1alpha1.BacklogEmpty)
		w.waitDropped(DropDamaged, 0)
	})
}

func TestUnreadableDirectory_BackAgain_DeliversAll(t *testing.T) {
	dir := newBacklog(t)
	w := newStoredWorld(t, dir, 50*time.Millisecond)
	w.waitState(v1alpha1.BacklogBuffering)
	rename(t, dir, dir+".away")
	w.destination.up(false)
	got := w.acknowledgeNext(1000)
	deferred := w.wantDeferred()
	got = append(got, w.acknowledgeNext(storedMessages-deferred-1000)...)
	w.waitState(v1alpha1.BacklogFailed)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, fmt.Sprintf("t/%d", storedMessages), "live"))
	got = append(got, w.acknowledgeNext(1)...) // the bridge continues
	w.source.Want("PUBACK 1")
	rename(t, dir+".away", dir)
	got = append(got, w.acknowledgeNext(deferred)...)
	wantOnce(t, got, storedMessages+1)
	w.waitState(v1alpha1.BacklogEmpty)
	w.waitDropped(DropDamaged, 0)
}

func TestUnread_Describe_NamesTheErrorOrSaysNothing(t *testing.T) {
	broken := errors.New("input/output error")
	for name, c := range map[string]struct {
		u       unread
		parts   int
		records uint64
		want    string // the beginning
	}{
		"readable":               {unread{}, 0, 0, ""},
		"readable again":         {unread{err: broken}, 0, 0, ""},
		"next record unreadable": {unread{err: broken, since: time.Now()}, 0, 0, "the backlog cannot be read: input/output error"},
		"a part of unknown size": {unread{err: broken}, 1, 0, "a part of the backlog cannot be read: input/output error"},
		"some messages":          {unread{err: broken}, 1, 5, "5 messages of the backlog cannot be read: input/output error"},
		"deferred by an earlier process, not yet read": {unread{}, 1, 5, ""},
	} {
		if got := c.u.describe(c.parts, c.records); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
