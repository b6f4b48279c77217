// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/buffer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// logOf makes a log with the messages.
func logOf(t *testing.T, dir string, messages ...session.Message) *buffer.Log {
	t.Helper()
	l, err := buffer.Open(dir, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	var records [][]byte
	for _, message := range messages {
		m := &outgoing{}
		m.ReceivedAt, m.Message = time.Now(), message
		record, _ := appendStored(nil, m)
		records = append(records, record)
	}
	if _, err := l.Append(records); err != nil {
		t.Fatal(err)
	}
	return l
}

// store leaves a backlog in dir, as a runner does when it ends.
func store(t *testing.T, dir string, messages ...session.Message) {
	t.Helper()
	if err := logOf(t, dir, messages...).Close(); err != nil {
		t.Fatal(err)
	}
}

// lockedLog returns a log with a backlog of that many messages. It is locked until it is
// closed, as if another process used it.
func lockedLog(t *testing.T, dir string, messages int) *buffer.Log {
	t.Helper()
	return logOf(t, dir, numbered(messages, 1)...)
}

// numbered returns messages with the payloads 0, 1 ...
func numbered(n int, qos byte) (all []session.Message) {
	for i := range n {
		all = append(all, session.Message{Topic: "t", Payload: fmt.Sprint(i), QoS: qos})
	}
	return all
}

// poisonedBacklog returns a backlog with a message to the topic poison, and behind it
// more messages than the pipe reads ahead. arrive are the messages that have to arrive.
func poisonedBacklog(qos byte) (backlog []session.Message, arrive []string) {
	backlog = append(backlog, session.Message{Topic: "poison", Payload: "x", QoS: 1})
	for _, m := range numbered(moreThanReadAhead, qos) {
		backlog, arrive = append(backlog, m), append(arrive, m.Topic+"="+m.Payload)
	}
	return backlog, arrive
}

// unlockLog closes the log of the other process, so that the pipe can open it.
func (w *diskWorld) unlockLog(other *buffer.Log) {
	w.t.Helper()
	if err := other.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.pipe.mu.Lock()
	defer w.pipe.mu.Unlock()
	w.pipe.spool.retryAt = time.Time{} // now
	w.pipe.spool.wakeUp()
}

// wantBacklog reads the messages of lockedLog, and acknowledges them.
func (w *diskWorld) wantBacklog(messages int) {
	w.t.Helper()
	for i := range messages {
		p := w.destination.Next()
		if want := fmt.Sprintf("qos1 t=%d", i); !strings.HasSuffix(p.String(), want) {
			w.t.Fatalf("message %d is %s", i, p)
		}
		w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
	}
}

// moreThanReadAhead is more messages than the pipe reads ahead.
const moreThanReadAhead = readAheadMessages + 500

func TestLateLog_NoDestination_HeldMessagesGoBehindTheBacklog(t *testing.T) {
	dir := t.TempDir()
	other := lockedLog(t, dir, moreThanReadAhead)
	w := newDiskWorld(t, packet.V311, dir, nil)
	w.waitState(v1alpha1.BacklogFailed)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 2, "t", "b"))
	w.source.sync() // nothing is acknowledged
	w.unlockLog(other)
	w.source.Want("PUBACK 1", "PUBREC 2") // they are on disk
	for _, w := range []*diskWorld{w.restartAfterKill(packet.V311), w} {
		w.destination.up(false)
		w.wantBacklog(moreThanReadAhead)
		if a, b := w.destination.Next().String(), w.destination.Next().String(); !strings.HasSuffix(a, "qos1 t=a") || !strings.HasSuffix(b, "qos2 t=b") {
			t.Errorf("got %s and %s", a, b)
		}
	}
}

func TestLateLog_MessagesInFlight_BypassTheBacklog(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost=%v", lost), func(t *testing.T) {
			dir := t.TempDir()
			other := lockedLog(t, dir, moreThanReadAhead)
			w := newDiskWorld(t, packet.V311, dir, nil)
			w.waitState(v1alpha1.BacklogFailed)
			w.source.connect(false, nil)
			w.destination.up(false)
			w.source.Send(script.Publish(1, 1, "t", "a"))
			w.destination.Want("PUBLISH 1 qos1 t=a")
			w.unlockLog(other)
			w.waitState(v1alpha1.BacklogDraining)
			w.source.Send(script.Publish(2, 1, "t", "b"))
			w.source.sync() // nothing is acknowledged out of order
			if lost {
				w.destination.down()
				w.source.Want("PUBACK 1", "PUBACK 2") // they are on disk
				w.destination.up(false)
				w.wantBacklog(moreThanReadAhead)
				if p := w.destination.Next().String(); !strings.HasSuffix(p, "qos1 t=a") {
					t.Errorf("got %s", p)
				}
			} else {
				w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
				w.source.Want("PUBACK 1", "PUBACK 2")
				w.wantBacklog(moreThanReadAhead)
			}
			if p := w.destination.Next().String(); !strings.HasSuffix(p, "qos1 t=b") {
				t.Errorf("got %s", p)
			}
		})
	}
}

func TestLateLog_OpeningFails_WaitingMessagesAreSent(t *testing.T) {
	dir := t.TempDir()
	segment := filepath.Join(dir, fmt.Sprintf("%020d.log", 1))
	if err := syscall.Mkfifo(segment, 0o600); err != nil { // opening a FIFO blocks until another process opens it for writing
		t.Fatal(err)
	}
	w := newDiskWorld(t, packet.V311, dir, nil)
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "u", "a"))
	w.source.sync()
	f, err := os.OpenFile(segment, os.O_WRONLY, 0)
	if err := errors.Join(err, os.Remove(segment), os.Mkdir(segment, 0o700), f.Close()); err != nil {
		t.Fatal(err)
	}
	w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 u=a")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
	w.source.Want("PUBACK 1", "PUBACK 2")
}

// A QoS 2 message that was in flight is a different message when it is read from the
// disk, so the server has to release its former identifier.
func TestLateLog_QoS2MessageGoesBehindTheBacklog_ItsIdentifierIsReleased(t *testing.T) {
	dir := t.TempDir()
	const backlog = 3
	other := lockedLog(t, dir, backlog)
	w := newDiskWorld(t, packet.V311, dir, nil)
	w.waitState(v1alpha1.BacklogFailed)
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 2, "t", "a"))
	w.destination.Want("PUBLISH 1 qos2 t=a")
	w.unlockLog(other)
	w.waitState(v1alpha1.BacklogDraining)
	w.destination.down()
	w.source.Want("PUBREC 1") // it is on disk
	w.destination.up(true)
	released := false
	for {
		p := w.destination.Next()
		switch {
		case p.Type == v5.PUBREL:
			released = p.ID == 1
			w.destination.Send(script.Ack(v5.PUBCOMP, p.ID, 0))
		case p.QoS == 1: // a message of the backlog
			w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
		default:
			if p.Payload != "a" || !released {
				t.Errorf("got %s, identifier 1 is released: %v", p, released)
			}
			return
		}
	}
}

// A message that awaits its dead letter stays in the queue in front of the backlog. It must
// get no record behind the backlog, because its release would release the backlog, too.
func TestLateLog_MessageAwaitsItsDeadLetter_TheBacklogIsNotReleasedWithIt(t *testing.T) {
	dir := t.TempDir()
	store(t, dir, numbered(1, 1)...)
	w := newWorldWith(t, packet.V5, Options{Disk: &Disk{Dir: dir, Bytes: 64 << 20}, Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	w.addReverse()
	s := w.pipe.spool // RunSpool does not run: the test calls step
	s.mode, s.allRead = modeDirect, true
	w.source.connect(false, nil)
	up := func() {
		w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(100))})
		w.pipe.Up(w.destination.s)
	}
	steps := func() {
		for s.step() {
		}
	}
	up()
	w.source.Send(script.Publish(1, 1, "t", strings.Repeat("x", 200)))
	w.source.sync()
	steps() // opens the log
	w.destination.Want("PUBLISH 1 qos1 t=0")
	w.destination.down()
	up()
	steps()
	w.destination.Want("PUBLISH 1 qos1 t=0")
	w.destination.down()
	steps()
	w.reverse.Up(w.source.s)
	for range 2 { // the dead letter, and a PUBACK before or after it
		if p := w.source.Next(); p.Type == v5.PUBLISH {
			w.source.Send(script.Ack(v5.PUBACK, p.ID, 0))
		}
	}
	eventually(t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if n := w.pipe.queue.len(); n != 1 {
			return fmt.Errorf("%d messages are in the queue", n)
		}
		return nil
	})
	steps()
	s.closeLog()
	next := newDiskWorld(t, packet.V311, dir, nil)
	next.destination.up(false)
	next.destination.Want("PUBLISH 1 qos1 t=0")
}
