// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// diskWorld is a world whose pipe has a disk.
type diskWorld struct {
	*world
	dir  string
	stop func() // stops RunSpool

	mu       sync.Mutex
	states   []v1alpha1.BacklogState
	messages []string
}

// newDiskWorld returns a world whose pipe has a disk in dir. Nothing is connected yet.
func newDiskWorld(t *testing.T, v packet.Version, dir string, change func(*Options)) *diskWorld {
	t.Helper()
	w := &diskWorld{dir: dir}
	opts := Options{Disk: &Disk{Dir: dir, Bytes: 64 << 20, WhenFull: v1alpha1.WhenFullBlock, OnStateChange: w.observe}}
	if change != nil {
		change(&opts)
	}
	w.world = newWorldWith(t, v, opts, everything)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.pipe.RunSpool(ctx)
		close(done)
	}()
	w.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(w.stop)
	return w
}

func (w *diskWorld) observe(state v1alpha1.BacklogState, message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states, w.messages = append(w.states, state), append(w.messages, message)
}

// restartAfterKill returns a world with a copy of the disk as it is now, as after a kill.
func (w *diskWorld) restartAfterKill(v packet.Version) *diskWorld {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
		w.t.Fatal(err)
	}
	return newDiskWorld(w.t, v, dir, nil)
}

// eventually waits until ok returns nil.
func eventually(t *testing.T, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(script.Timeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// waitState waits until the disk has been in that state, after the states of earlier
// calls.
func (w *diskWorld) waitState(want v1alpha1.BacklogState) (message string) {
	w.t.Helper()
	eventually(w.t, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, s := range w.states {
			if s == want {
				message = w.messages[i]
				w.states, w.messages = w.states[i+1:], w.messages[i+1:]
				return nil
			}
		}
		return fmt.Errorf("the disk was not in the state %s: %v %q", want, w.states, w.messages)
	})
	return message
}

// waitDropped waits until n messages are dropped for a cause.
func (w *diskWorld) waitDropped(cause string, n int) {
	w.t.Helper()
	eventually(w.t, func() error {
		w.meter.mu.Lock()
		defer w.meter.mu.Unlock()
		if got := w.meter.dropped[cause]; got != n {
			return fmt.Errorf("%d messages are dropped as %s, want %d", got, cause, n)
		}
		return nil
	})
}

func TestSpool_MessageOnDisk_IsAcknowledgedAndSurvivesAKill(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newDiskWorld(t, v, t.TempDir(), nil)
		w.source.connect(false, nil)
		w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 2, "t", "b"), script.Publish(3, 1, "t", "c"))
		w.source.Want("PUBACK 1", "PUBREC 2", "PUBACK 3")
		w.waitState(v1alpha1.BacklogBuffering)
		w = w.restartAfterKill(v)
		w.destination.up(false)
		w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=b", "PUBLISH 3 qos1 t=c")
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBREC, 2, 0), script.Ack(v5.PUBACK, 3, 0))
		w.destination.Want("PUBREL 2")
		w.waitState(v1alpha1.BacklogDraining)
		w.destination.Send(script.Ack(v5.PUBCOMP, 2, 0))
		w.waitState(v1alpha1.BacklogEmpty)
		w.meter.want(t, "forwarded 3, dropped map[], refused [], resent 0, redelivered 0, held 0, in flight 0")
	})
}

func TestSpool_DestinationLost_MessagesInFlightAreWrittenInOrder(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newDiskWorld(t, v, t.TempDir(), nil)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"), script.Publish(3, 2, "t", "c"))
		w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 t=b", "PUBLISH 3 qos2 t=c")
		w.destination.Send(script.Ack(v5.PUBACK, 2, 0))
		w.destination.sync()
		w.source.sync() // nothing is acknowledged yet
		w.destination.down()
		w.source.Want("PUBACK 1", "PUBACK 2", "PUBREC 3")
		w.source.Send(script.Publish(4, 1, "t", "d"))
		w.source.Want("PUBACK 4")

		killed := w.restartAfterKill(v)
		killed.destination.up(false)
		killed.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=c", "PUBLISH 3 qos1 t=d")

		w.destination.up(false)
		w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=c", "PUBLISH 3 qos1 t=d")
	})
}

func TestSpool_SlowDestination_WritesHeldMessagesAndSendsEachOnce(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newDiskWorld(t, v, t.TempDir(), nil)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"))
		w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 t=b")
		w.source.Want("PUBACK 1", "PUBACK 2") // they are on disk
		w.source.Send(script.Publish(3, 1, "t", "c"))
		w.destination.Want("PUBLISH 3 qos1 t=c")
		w.source.Want("PUBACK 3")
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0), script.Ack(v5.PUBACK, 3, 0))
		w.waitState(v1alpha1.BacklogEmpty)
		w.source.Send(script.Publish(4, 1, "t", "d")) // direct mode again
		w.destination.Want("PUBLISH 4 qos1 t=d")
		w.source.sync()
		w.destination.Send(script.Ack(v5.PUBACK, 4, 0))
		w.source.Want("PUBACK 4")
		w.meter.want(t, "forwarded 4, dropped map[], refused [], resent 0, redelivered 0, held 0, in flight 0")
	})
}

func TestSpool_LiveMessages_QueueBehindTheBacklog(t *testing.T) {
	w := newDiskWorld(t, packet.V311, t.TempDir(), nil)
	w.source.connect(false, nil)
	const backlog, live = 3000, 2000 // more than the pipe reads ahead
	for i := range backlog {
		w.source.Send(script.Publish(uint16(i+1), 1, "t", fmt.Sprint(i)))
	}
	for i := range backlog {
		w.source.Want(fmt.Sprintf("PUBACK %d", i+1))
	}
	w.destination.up(false)
	go func() {
		for i := backlog; i < backlog+live; i++ {
			w.source.Send(script.Publish(uint16(i+1), 1, "t", fmt.Sprint(i)))
		}
	}()
	for i := range backlog + live {
		p := w.destination.Next()
		if want := fmt.Sprintf("qos1 t=%d", i); !strings.HasSuffix(p.String(), want) {
			t.Fatalf("message %d is %s", i, p)
		}
		w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
	}
	for i := backlog; i < backlog+live; i++ {
		w.source.Want(fmt.Sprintf("PUBACK %d", i+1))
	}
	w.waitState(v1alpha1.BacklogEmpty)
	if b := w.pipe.Backlog(); b != (Backlog{}) {
		t.Errorf("the backlog is %+v", b)
	}
}

func TestSpool_MessageExpiryInterval_RunsWhileTheRunnerIsDown(t *testing.T) {
	dir := t.TempDir()
	l, err := buffer.Open(dir, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	var records [][]byte
	for _, m := range []struct {
		payload string
		age     time.Duration
		expiry  uint32
	}{{"old", time.Hour, 3599}, {"young", time.Hour, 7200}, {"from the future", -time.Hour, 100}} {
		o := &outgoing{}
		o.ReceivedAt = time.Now().Add(-m.age)
		o.Message = session.Message{Topic: "t", Payload: m.payload, QoS: 1, Properties: &packet.Properties{Expires: true, Expiry: m.expiry}}
		record, _ := appendStored(nil, o)
		records = append(records, record)
	}
	_, err = l.Append(records)
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	w := newDiskWorld(t, packet.V5, dir, nil)
	w.waitState(v1alpha1.BacklogBuffering)
	if age := time.Since(w.pipe.Backlog().Oldest); age < time.Hour || age > 2*time.Hour {
		t.Errorf("the oldest message is reported to be %s old", age)
	}
	w.destination.up(false)
	p := w.destination.Next()
	left := *p.Properties.MessageExpiry
	if !strings.HasSuffix(p.String(), "t=young") || left < 3500 || left > 3600 {
		t.Errorf("got %s, which expires in %d s", p, left)
	}
	p = w.destination.Next()
	if left := *p.Properties.MessageExpiry; !strings.HasSuffix(p.String(), "t=from the future") || left > 100 {
		t.Errorf("got %s, which expires in %d s", p, left)
	}
	w.waitDropped(DropExpired, 1)
}

func TestSpool_MessageOlderThanTTL_IsDropped(t *testing.T) {
	w := newDiskWorld(t, packet.V311, t.TempDir(), func(o *Options) { o.Disk.TTL = 100 * time.Millisecond })
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"))
	w.source.Want("PUBACK 1", "PUBACK 2")
	w.waitDropped(DropExpired, 2)
	w.waitState(v1alpha1.BacklogEmpty)
}
