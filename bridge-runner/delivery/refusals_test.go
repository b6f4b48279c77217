// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// refusing returns a handler that refuses messages to this topic: each message the given
// number of times, or always if times is 0. An empty topic stands for all topics.
func refusing(topic string, code byte, times int) func(*script.Conn, script.Packet) bool {
	count := map[string]int{}
	return func(c *script.Conn, p script.Packet) bool {
		if topic != "" && p.Topic != topic || times > 0 && count[p.Payload] >= times {
			return false
		}
		count[p.Payload]++
		reply(c, script.Ack(map[byte]byte{1: v5.PUBACK, 2: v5.PUBREC}[p.QoS], p.ID, code))
		return true
	}
}

func TestRefusal_OfTheMessageItself_OnlyThatIsDropped(t *testing.T) {
	for _, code := range []byte{0x87, 0x90, 0x99} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("code=%#x/qos=%d", code, qos), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, packet.V5, everything)
				w.source.connect(false, nil)
				want := w.send(5, 2, qos)
				w.source.sync()
				x := w.runServers(refusing("poison", code, 0), nil)
				defer x.stop()
				x.waitAccepted(want...)
				w.wantAcknowledged(1, 5, qos)
				w.wantGivenUp(FateDropped, "poison")
				w.wantDropped(DropRefused, 1)
				x.wantSessions(0)
			})
		}
	}
}

func TestRefusal_Transient_MessageIsKeptAndSentAgain(t *testing.T) {
	for _, code := range []byte{0x80, 0x83, 0x97, 0x91, 0x8F} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("code=%#x/qos=%d", code, qos), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, packet.V5, everything)
				w.source.connect(false, nil)
				w.source.Send(script.Publish(1, qos, "t", "a"))
				w.source.sync()
				x := w.runServers(refusing("", code, 4), nil)
				defer x.stop()
				x.waitAccepted("t=a")
				w.wantAcknowledged(1, 1, qos)
				w.wantGivenUp(FateDropped)
				w.wantDropped(DropRefused, 0)
				x.wantSessions(0)
			})
		}
	}
}

// A server that refuses a message has accepted the messages behind it that were in flight,
// so it delivers them first.
func TestRefusal_Transient_MessagesBehindItGoFirst(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("qos=%d", qos), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, packet.V5, everything)
			w.source.connect(false, nil)
			for i := range 3 {
				w.source.Send(script.Publish(uint16(i+1), qos, "t", fmt.Sprint(i)))
			}
			w.source.sync()
			refused := 0
			x := w.runServers(func(c *script.Conn, p script.Packet) bool {
				if p.Payload != "0" || refused == 2 {
					return false
				}
				refused++
				reply(c, script.Ack(map[byte]byte{1: v5.PUBACK, 2: v5.PUBREC}[p.QoS], p.ID, 0x97))
				return true
			}, nil)
			defer x.stop()
			x.waitAccepted("t=1", "t=2", "t=0")
			w.wantAcknowledged(1, 3, qos)
			w.wantGivenUp(FateDropped)
			x.wantSessions(0)
		})
	}
}

func TestRefusal_TransientWithoutAWitness_NothingIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	var want []string
	for i := range 3 {
		w.source.Send(script.Publish(uint16(i+1), 1, "t", fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("t=%d", i))
	}
	w.source.sync()
	x := w.runServers(refusing("", 0x97, maxRefusals), nil) // a message would be unforwardable after as many refusals
	defer x.stop()
	x.waitAccepted(want...)
	w.wantAcknowledged(1, 3, 1)
	w.wantGivenUp(FateDropped)
}

func TestRefusal_TransientWithAWitness_OnlyThatIsDropped(t *testing.T) {
	for _, code := range []byte{0x80, 0x83, 0x97} {
		t.Run(fmt.Sprintf("code=%#x", code), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, packet.V5, everything)
			w.source.connect(false, nil)
			want := w.send(5, 0, 1)
			w.source.sync()
			x := w.runServers(refusing("poison", code, 0), nil)
			defer x.stop()
			x.waitAccepted(want...)
			w.wantAcknowledged(1, 5, 1)
			w.wantGivenUp(FateDropped, "poison")
			w.wantDropped(DropRefused, 1)
			x.mu.Lock()
			defer x.mu.Unlock()
			if n := len(x.published) - len(want); n != maxRefusals {
				t.Errorf("it was sent %d times, want %d", n, maxRefusals)
			}
		})
	}
}

func TestRefusal_TransientAndWindowOf1_OnlyThatIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	want := w.send(3, 0, 1)
	w.source.sync()
	x := w.runServers(refusing("poison", 0x80, 0), nil)
	defer x.stop()
	x.waitAccepted(want...)
	w.wantAcknowledged(1, 3, 1)
	w.wantGivenUp(FateDropped, "poison")
}

func TestRefusal_ServerRecoversAfterManyRefusals_NothingIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	w.send(3, -1, 1)
	w.source.sync()
	refused := 0
	x := w.runServers(func(c *script.Conn, p script.Packet) bool { // it refuses all messages for a while
		refused++
		if refused > maxRefusals {
			return false
		}
		reply(c, script.Ack(v5.PUBACK, p.ID, 0x97))
		return true
	}, nil)
	defer x.stop()
	w.wantAcknowledged(1, 3, 1)
	w.wantGivenUp(FateDropped)
	w.wantDropped(DropRefused, 0)
}

func TestRefusal_Block_KeepsTheMessageAndTheOrder(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{Block: true}}, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	w.send(3, 1, 1)
	w.source.sync()
	x := w.runServers(refusing("poison", 0x87, 2), nil)
	defer x.stop()
	x.waitAccepted("t=0")
	w.wantGivenUp(FateBlocks, "poison")
	w.retryNow()
	w.wantGivenUp(FateBlocks, "poison", "poison") // the message is reported after each attempt
	w.retryNow()
	x.waitAccepted("t=0", "poison=1", "t=2")
	w.wantAcknowledged(1, 3, 1)
	w.wantDropped(DropRefused, 0)
	w.wantUnblocked(1)
}

// A message that waits to be sent again does not stop the pipe from reading the disk: the
// witness may be there.
func TestRefusal_WitnessBehindMoreThanIsReadAhead_OnlyTheRefusedIsDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	backlog, want := poisonedBacklog(0) // a server does not acknowledge QoS 0
	store(t, dir, append(backlog, session.Message{Topic: "t", Payload: "witness", QoS: 1})...)
	w := newDiskWorld(t, packet.V5, dir, nil)
	x := w.runServers(refusing("poison", 0x80, 0), nil)
	defer x.stop()
	x.waitAccepted(append(want, "t=witness")...)
	w.wantGivenUp(FateDropped, "poison")
}

// The sequence number of a message is its place in the queue, also if the message is
// written to the disk. In this test, more messages have been written to the disk than
// queued.
func TestRefusal_MessageIsWrittenToTheDiskMeanwhile_MessagesBehindItAreWitnesses(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t, packet.V5, t.TempDir(), func(o *Options) { o.Disk.TTL = 1 }) // all messages that are read have expired
	w.source.connect(false, nil)
	const expired, behind = 20, 5
	for i := range expired {
		w.source.Send(script.Publish(uint16(i+1), 1, "t", "old"))
	}
	w.wantAcknowledged(1, expired, 1)
	w.waitDropped(DropExpired, expired)
	w.pipe.mu.Lock()
	w.pipe.spool.TTL = 0
	w.pipe.mu.Unlock()
	x := w.runServers(refusing("poison", 0x80, 0), nil)
	defer x.stop()
	eventually(t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if w.pipe.spool.mode != modeDirect {
			return errors.New("messages do not go directly")
		}
		return nil
	})
	w.source.Send(script.Publish(100, 1, "poison", "x"))
	w.wantAcknowledged(100, 100, 1) // it is on disk
	var want []string
	for i := range behind {
		w.source.Send(script.Publish(uint16(101+i), 1, "t", fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("t=%d", i))
	}
	x.waitAccepted(want...)
	w.wantGivenUp(FateDropped, "poison")
}
