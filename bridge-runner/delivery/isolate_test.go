// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// mostSessions is the maximum number of sessions that may end at a message before it is
// given up.
const mostSessions = 6

func TestIsolation_ServerEndsTheSessionAtAMessage_OnlyThatIsDropped(t *testing.T) {
	type how struct {
		v         packet.Version
		code, qos byte
		place     int
		resumes   bool
	}
	var all []how
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for _, place := range []int{0, 4, 9} {
			all = append(all, how{v, 0, 1, place, false}, how{v, 0, 2, place, true}, how{v, 0, 2, place, false})
		}
	}
	for _, code := range []byte{0x80, 0x81, 0x82, 0x83, 0x87, 0x90, 0x93, 0x95, 0x96, 0x97, 0x99, 0x9A, 0x9B} {
		all = append(all, how{packet.V5, code, 1, 4, false}, how{packet.V5, code, 2, 4, true}, how{packet.V5, code, 1, 9, true})
	}
	for _, h := range all {
		t.Run(fmt.Sprintf("version=%d/code=%#x/qos=%d/place=%d/resumes=%v", h.v, h.code, h.qos, h.place, h.resumes), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, h.v, everything)
			w.source.connect(false, nil)
			want := w.send(10, h.place, h.qos)
			w.source.sync()
			x := w.runServers(ending("poison", h.code), func(x *serverRotation) { x.keepSessions = h.resumes })
			defer x.stop()
			last := 10
			if needsWitness(session.Ending{ByServer: true, Code: h.code}) && h.place == 9 {
				x.waitAccepted(want...)
				w.source.Send(script.Publish(11, h.qos, "t", "10"))
				want, last = append(want, "t=10"), 11
			}
			x.waitAccepted(want...)
			w.wantAcknowledged(1, last, h.qos)
			w.wantGivenUp(FateDropped, "poison")
			w.wantDropped(DropUnforwardable, 1)
			x.wantSessions(mostSessions)
			// The session still works.
			w.source.Send(script.Publish(20, h.qos, "t", "behind"))
			x.waitAccepted(append(want, "t=behind")...)
			w.wantAcknowledged(20, 20, h.qos)
		})
	}
}

func TestIsolation_TwoServers_EachHasToEndASession(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Run("both do", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, v, everything)
			w.source.connect(false, nil)
			want := w.send(3, 0, 1)
			w.source.sync()
			x := w.runServers(ending("poison", 0), func(x *serverRotation) { x.sides = append(x.sides, newSide(w, v)) })
			defer x.stop()
			x.waitAccepted(want...)
			w.wantAcknowledged(1, 3, 1)
			w.wantGivenUp(FateDropped, "poison")
			x.wantSessions(mostSessions + 1)
		})
		t.Run("one takes it", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, v, everything)
			w.source.connect(false, nil)
			w.send(3, 0, 1)
			w.source.sync()
			other := newSide(w, v)
			x := w.runServers(func(c *script.Conn, p script.Packet) bool {
				if p.Topic != "poison" || c == other.Conn {
					return false
				}
				end(c, 0)
				return true
			}, func(x *serverRotation) { x.sides = append(x.sides, other) })
			defer x.stop()
			x.waitAccepted("poison=0", "t=1", "t=2")
			w.wantAcknowledged(1, 3, 1)
			w.wantGivenUp(FateDropped)
			w.wantDropped(DropUnforwardable, 0)
		})
	})
}

// cutter closes connections at random, at PUBLISH and PINGREQ packets.
type cutter struct {
	mu   sync.Mutex
	r    *rand.Rand
	cuts int // cuts that are left
}

func (c *cutter) cut(conn *script.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cuts == 0 || c.r.IntN(8) > 0 {
		return false
	}
	c.cuts--
	_ = conn.Close()
	return true
}

func TestIsolation_ConnectionsCutAtRandom_NoMessageIsDropped(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		c := &cutter{r: rand.New(rand.NewPCG(seed, 0)), cuts: 200}
		x := w.runServers(func(conn *script.Conn, _ script.Packet) bool { return c.cut(conn) }, func(x *serverRotation) {
			x.sides = append(x.sides, newSide(w, v))
			x.onPing = c.cut
		})
		defer x.stop()
		var want []string
		for i := range 300 {
			w.source.Send(script.Publish(uint16(i+1), 1, "t", fmt.Sprint(i)))
			want = append(want, fmt.Sprintf("t=%d", i))
			if i%10 == 9 {
				w.wantAcknowledged(i-8, i+1, 1)
			}
		}
		x.waitAccepted(want...)
		w.wantGivenUp(FateDropped)
		w.wantDropped(DropUnforwardable, 0)
		t.Logf("%d sessions", x.sessionCount())
	})
}

func TestIsolation_SessionEndsDuringTheControl_MessageIsNotGivenUp(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		var mu sync.Mutex
		ends, controls := 0, 0
		// The server ends the session at the message four times. Before the last of them, it
		// ends the session once at a ping of the control.
		x := w.runServers(func(c *script.Conn, _ script.Packet) bool {
			mu.Lock()
			defer mu.Unlock()
			if ends == 4 {
				return false
			}
			ends++
			_ = c.Close()
			return true
		}, func(x *serverRotation) {
			x.onPing = func(c *script.Conn) bool {
				mu.Lock()
				defer mu.Unlock()
				if ends != 3 || controls > 0 {
					return false
				}
				controls++
				_ = c.Close()
				return true
			}
		})
		defer x.stop()
		w.source.Send(script.Publish(1, 1, "t", "innocent"))
		x.waitAccepted("t=innocent")
		w.wantAcknowledged(1, 1, 1)
		w.wantGivenUp(FateDropped)
	})
}

// A network that cuts connections may cut two in a row at the same message, although controls have passed on both.
func TestIsolation_NetworkCutsAfterTwoControls_MessageIsNotGivenUp(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		var ends atomic.Int64
		x := w.runServers(func(c *script.Conn, _ script.Packet) bool {
			if ends.Add(1) > strikesToIsolate+2 {
				return false
			}
			_ = c.Close()
			return true
		}, func(x *serverRotation) { x.sides = append(x.sides, newSide(w, v)) })
		defer x.stop()
		w.source.Send(script.Publish(1, 1, "t", "innocent"))
		x.waitAccepted("t=innocent")
		w.wantAcknowledged(1, 1, 1)
		w.wantGivenUp(FateDropped)
	})
}

func TestIsolation_PoisonOfQoS2_LeavesNoIdentifierBehind(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.send(2, 0, 2)
		w.source.sync()
		// The server accepts the message, and ends the session at it.
		var x *serverRotation
		x = w.runServers(func(c *script.Conn, p script.Packet) bool {
			if p.Topic != "poison" {
				return false
			}
			x.mu.Lock()
			x.held[0][p.ID] = p.Topic // the server does not report it
			x.mu.Unlock()
			_ = c.Close()
			return true
		}, func(x *serverRotation) { x.keepSessions = true })
		defer x.stop()
		w.wantAcknowledged(1, 2, 2)
		w.wantGivenUp(FateDropped, "poison")
		w.source.Send(script.Publish(3, 2, "t", "2")) // it must not be sent under the identifier of the poison
		w.wantAcknowledged(3, 3, 2)
		x.waitAccepted("t=1", "t=2")
		eventually(t, func() error {
			x.mu.Lock()
			defer x.mu.Unlock()
			if len(x.held[0]) > 0 {
				return fmt.Errorf("the server holds %v", x.held[0])
			}
			return nil
		})
	})
}

func TestIsolation_BacklogOnDisk_OnlyThePoisonIsDropped(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		w := newDiskWorld(t, v, t.TempDir(), nil)
		w.source.connect(false, nil)
		want := w.send(10, 4, 1)
		w.wantAcknowledged(1, 10, 1) // they are on disk
		x := w.runServers(ending("poison", 0), nil)
		defer x.stop()
		x.waitAccepted(want...)
		w.wantGivenUp(FateDropped, "poison")
		w.wantDropped(DropUnforwardable, 1)
		x.wantSessions(mostSessions)
		w.waitState("Empty")
	})
}

func TestIsolation_DiskFillsMeanwhile_TheDirectionGoesOn(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t, packet.V311, t.TempDir(), func(o *Options) {
		o.Disk.Bytes, o.Disk.WhenFull = 1<<20, "DropOldest"
	})
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "poison", "x"))
	w.wantAcknowledged(1, 1, 1)
	x := w.runServers(ending("poison", 0), nil)
	defer x.stop()
	const messages = 150
	for i := range messages {
		w.source.Send(script.Publish(uint16(i+2), 1, "t", fmt.Sprint(i, strings.Repeat("x", 20_000))))
		w.source.Want(fmt.Sprintf("PUBACK %d", i+2))
	}
	last := fmt.Sprintf("t=%d %s", messages-1, strings.Repeat("x", 20_000))
	last = strings.Replace(last, " ", "", 1)
	eventually(t, func() error {
		x.mu.Lock()
		defer x.mu.Unlock()
		if !slices.Contains(x.accepted, last) {
			return fmt.Errorf("the last message has not arrived; %d have, in %d sessions", len(x.accepted), x.sessions)
		}
		return nil
	})
	w.wantGivenUp(FateDropped, "poison")
	x.mu.Lock()
	defer x.mu.Unlock()
	n := -1
	for _, text := range x.accepted {
		var i int
		if _, err := fmt.Sscanf(text, "t=%dx", &i); err != nil || i <= n {
			t.Fatalf("%.10s arrives behind %d", text, n)
		}
		n = i
	}
	if dropped := w.meter.droppedFor(DropBufferFull); dropped+len(x.accepted) != messages {
		t.Errorf("%d messages were dropped and %d arrived", dropped, len(x.accepted))
	}
}

func TestIsolation_Block_KeepsThePoisonAndTheOrder(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		w := newWorldWith(t, v, Options{Unforwardable: Unforwardable{Block: true}}, everything)
		w.source.connect(false, nil)
		w.send(4, 1, 1)
		w.source.sync()
		x := w.runServers(ending("poison", 0), nil)
		defer x.stop()
		w.wantAcknowledged(1, 1, 1)
		w.wantGivenUp(FateBlocks, "poison")
		x.wantSessions(mostSessions)
		// The present session lasts: nothing is sent on it.
		x.mu.Lock()
		sent, sessions := len(x.published), x.sessions
		x.mu.Unlock()
		w.source.Send(script.Publish(5, 1, "t", "4"))
		w.source.sync() // nothing is acknowledged
		time.Sleep(300 * time.Millisecond)
		x.mu.Lock()
		if len(x.published) != sent || x.sessions != sessions {
			t.Errorf("%d packets in %d sessions were sent, and %d in %d", sent, sessions, len(x.published), x.sessions)
		}
		// The server accepts the message from now on.
		x.onPublish = func(*script.Conn, script.Packet) bool { return false }
		x.mu.Unlock()
		w.retryNow()
		x.waitAccepted("t=0", "poison=1", "t=2", "t=3", "t=4")
		w.wantAcknowledged(2, 5, 1)
		w.wantDropped(DropUnforwardable, 0)
		w.wantUnblocked(1)
	})
}

// retryNow ends the pause after which a message that blocks is tried again.
func (w *world) retryNow() {
	w.pipe.mu.Lock()
	w.pipe.refusals.pauseUntil, w.pipe.isolation.holdUntil = time.Time{}, time.Time{}
	w.pipe.isolation.retryAt = time.Now()
	w.pipe.mu.Unlock()
	w.pipe.onTimer()
}

// The server acknowledges a QoS 2 message by PUBREC, and handles it at its PUBREL.
func TestIsolation_ServerEndsTheSessionAtPubrel_OnlyThatIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.send(4, 1, 2)
	w.source.sync()
	x := w.runServers(func(*script.Conn, script.Packet) bool { return false }, func(x *serverRotation) {
		x.keepSessions = true
		x.onPubrel = func(c *script.Conn, text string) bool {
			if text != "poison=1" {
				return false
			}
			_ = c.Close()
			return true
		}
	})
	defer x.stop()
	w.wantAcknowledged(1, 4, 2)
	w.wantGivenUp(FateDropped, "poison")
	w.source.Send(script.Publish(5, 2, "t", "behind"))
	w.wantAcknowledged(5, 5, 2)
	x.waitAccepted("t=0", "poison=1", "t=2", "t=3", "t=behind")
}

// No message is sent during a control, and the suspect expires. The messages behind it must not
// wait for the next message to arrive.
func TestIsolation_SuspectExpiresDuringTheControl_TheOthersAreSent(t *testing.T) {
	dir := t.TempDir()
	store(t, dir, session.Message{Topic: "poison", Payload: "x", QoS: 1}, session.Message{Topic: "t", Payload: "0", QoS: 1})
	const ttl = time.Hour
	w := newDiskWorld(t, packet.V5, dir, func(o *Options) { o.Disk.TTL = ttl })
	x := w.runServers(ending("poison", 0x99), func(x *serverRotation) {
		x.onPing = func(*script.Conn) bool { return true } // the control does not end
	})
	defer x.stop()
	eventually(t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if !w.pipe.isolation.controlRunning {
			return errors.New("no control is running")
		}
		w.pipe.isolation.suspect.ReceivedAt = time.Now().Add(-2 * ttl)
		return nil
	})
	w.waitDropped(DropExpired, 1)
	sessions := x.sessionCount()
	x.waitAccepted("t=0")
	if n := x.sessionCount() - sessions; n > 0 {
		t.Errorf("the message was sent %d sessions later", n)
	}
}

// Messages that are sent one by one take a round trip each. If a network cuts two connections in
// a row, few messages are sent so.
func TestIsolation_SessionsEndWithManyInFlight_FewAreSentOneByOne(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		const n = 200
		w := newWorld(t, v, everything)
		w.destination.window = n
		w.source.connect(false, nil)
		w.send(n, -1, 1)
		w.source.sync()
		inflight := func() int {
			w.pipe.mu.Lock()
			defer w.pipe.mu.Unlock()
			return w.pipe.inflight
		}
		x := w.destination
		for _, want := range []int{n, cautiousWindow} {
			x.up(false)
			if got := inflight(); got != want {
				t.Errorf("%d messages are in flight, want %d", got, want)
			}
			x.down()
		}
		x.up(false)
		controls, oneByOne := 0, 0
		for acknowledged := 0; acknowledged < n; {
			switch p := x.Next(); p.Type {
			case v5.PINGREQ:
				controls++
				x.Send(script.Packet{Type: v5.PINGRESP})
			case v5.PUBLISH:
				if inflight() == 1 && acknowledged < n-1 {
					oneByOne++
				}
				acknowledged++
				x.Send(script.Ack(v5.PUBACK, p.ID, 0))
			}
		}
		w.wantAcknowledged(1, n, 1)
		w.wantGivenUp(FateDropped)
		if oneByOne > cautiousWindow {
			t.Errorf("%d messages were sent one by one, want at most %d", oneByOne, cautiousWindow)
		}
	})
}
