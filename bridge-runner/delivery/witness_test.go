// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// ignoring returns a handler that never answers messages to this topic.
func ignoring(topic string) func(*script.Conn, script.Packet) bool {
	return func(_ *script.Conn, p script.Packet) bool { return p.Topic == topic }
}

// waitWitnessNeeded waits until the pipe needs a witness against the suspect.
func (w *world) waitWitnessNeeded() {
	w.t.Helper()
	eventually(w.t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if !w.pipe.isolation.witness {
			return fmt.Errorf("no witness is needed: %+v", w.pipe.isolation)
		}
		return nil
	})
}

// sendTo makes the source send a message to each of the topics. It returns the messages
// that have to arrive.
func (w *world) sendTo(topics ...string) (arrive []string) {
	w.t.Helper()
	for i, topic := range topics {
		if topic != "poison" {
			arrive = append(arrive, fmt.Sprintf("%s=%d", topic, i))
		}
		w.source.Send(script.Publish(uint16(i+1), 1, topic, fmt.Sprint(i)))
	}
	return arrive
}

func TestIsolation_ServerPassesAMessageOver_OnlyThatIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.ackTimeout = 300 * time.Millisecond
	w.source.connect(false, nil)
	want := w.send(5, 2, 1)
	w.source.sync()
	x := w.runServers(ignoring("poison"), nil)
	defer x.stop()
	x.waitAccepted(want...)
	w.wantAcknowledged(1, 2, 1)
	w.waitWitnessNeeded()
	w.wantGivenUp(FateDropped)                    // the server may have a problem
	w.source.Send(script.Publish(6, 1, "t", "5")) // the server accepts this message
	x.waitAccepted(append(want, "t=5")...)
	w.wantAcknowledged(3, 6, 1)
	w.wantGivenUp(FateDropped, "poison")
	x.wantSessions(mostSessions)
}

// The code 0x97 may be about the server, so a witness is needed. The second poison ends
// the session when it is sent as the witness, and a message behind it is sent next.
func TestIsolation_TwoPoisonsInARow_OnlyTheyAreDropped(t *testing.T) {
	for _, code := range []byte{0x97, 0x90} {
		t.Run(fmt.Sprintf("code=%#x", code), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, packet.V5, everything)
			w.source.connect(false, nil)
			want := w.sendTo("poison", "poison", "t", "t", "t")
			w.source.sync()
			x := w.runServers(ending("poison", code), nil)
			defer x.stop()
			x.waitAccepted(want...)
			w.wantAcknowledged(1, 5, 1)
			w.wantGivenUp(FateDropped, "poison", "poison")
		})
	}
}

func TestIsolation_ServerIgnoresTwoMessagesInARow_OnlyTheyAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.ackTimeout = 200 * time.Millisecond
	w.source.connect(false, nil)
	want := w.sendTo("poison", "poison", "t", "t", "t")
	w.source.sync()
	x := w.runServers(ignoring("poison"), nil)
	defer x.stop()
	x.waitAccepted(want...)
	for i := range 2 { // a witness for each
		w.waitWitnessNeeded()
		w.source.Send(script.Publish(uint16(6+i), 1, "t", fmt.Sprint(5+i)))
		want = append(want, fmt.Sprintf("t=%d", 5+i))
		x.waitAccepted(want...)
	}
	w.wantAcknowledged(1, 7, 1)
	w.wantGivenUp(FateDropped, "poison", "poison")
}

// No later message is acknowledged, so only the answers to pings show that the server
// ignores the message.
func TestIsolation_ServerIgnoresAMessageAndWindowIs1_OnlyThatIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.ackTimeout, w.destination.window = 200*time.Millisecond, 1
	w.source.connect(false, nil)
	want := w.send(4, 0, 1)
	w.source.sync()
	x := w.runServers(ignoring("poison"), nil)
	defer x.stop()
	x.waitAccepted(want...)
	w.wantAcknowledged(1, 4, 1)
	w.wantGivenUp(FateDropped, "poison")
}

// After a witness the suspect is sent once more, because the server may have recovered.
func TestIsolation_QuotaIsExceededForAWhile_NoMessageIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.sendTopics(5, 1)
	w.source.sync()
	ends := 0
	x := w.runServers(func(c *script.Conn, _ script.Packet) bool {
		if ends == 4 {
			return false
		}
		ends++
		end(c, 0x97)
		return true
	}, nil)
	defer x.stop()
	w.wantAcknowledged(1, 5, 1)
	w.wantGivenUp(FateDropped)
}

// The server ends sessions for a while, by a code that needs a witness. No message is the cause,
// so the messages of each topic arrive in their order (section 4.6).
func TestIsolation_InnocentSuspect_OrderOfItsTopicIsKept(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		for ends := 2; ends <= 5; ends++ {
			t.Run(fmt.Sprintf("qos=%d/sessions=%d", qos, ends), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, packet.V5, everything)
				w.source.connect(false, nil)
				topics := []string{"t", "t", "u", "u", "v"}
				want := map[string][]string{}
				for i, topic := range topics {
					w.source.Send(script.Publish(uint16(i+1), qos, topic, fmt.Sprint(i)))
					want[topic] = append(want[topic], fmt.Sprintf("%s=%d", topic, i))
				}
				w.source.sync()
				left := ends
				x := w.runServers(func(c *script.Conn, _ script.Packet) bool {
					if left == 0 {
						return false
					}
					left--
					end(c, 0x8D)
					return true
				}, nil)
				defer x.stop()
				w.wantAcknowledged(1, len(topics), qos)
				w.wantGivenUp(FateDropped)
				got := map[string][]string{}
				x.mu.Lock()
				defer x.mu.Unlock()
				for _, text := range x.accepted {
					topic, _, _ := strings.Cut(text, "=")
					got[topic] = append(got[topic], text)
				}
				if !maps.EqualFunc(got, want, slices.Equal) {
					t.Errorf("arrived %v, want %v", got, want)
				}
			})
		}
	}
}

// If all messages have the suspect's topic, one of them is the witness after the first pause.
func TestIsolation_PoisonOfTheOnlyTopic_IsDroppedAfterThePause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	for i := range 3 {
		w.source.Send(script.Publish(uint16(i+1), 1, "t", fmt.Sprint(i)))
	}
	w.source.sync()
	x := w.runServers(func(c *script.Conn, p script.Packet) bool {
		if p.Payload != "0" {
			return false
		}
		end(c, 0x97)
		return true
	}, nil)
	defer x.stop()
	w.waitWitnessNeeded()
	w.wantGivenUp(FateDropped)
	x.waitAccepted()
	w.retryNow()
	x.waitAccepted("t=1", "t=2")
	w.wantAcknowledged(1, 3, 1)
	w.wantGivenUp(FateDropped, "t")
}

// sendTopics has the source send n messages, each with its own topic.
func (w *world) sendTopics(n int, qos byte) {
	for i := range n {
		w.source.Send(script.Publish(uint16(i+1), qos, fmt.Sprintf("t/%d", i), fmt.Sprint(i)))
	}
}

// recoveringServer answers as trouble does, until it has recovered.
type recoveringServer struct {
	atomic.Bool
	trouble func(*script.Conn, script.Packet) bool
}

func (r *recoveringServer) answer(c *script.Conn, p script.Packet) bool {
	return !r.Load() && r.trouble(c, p)
}

// troubles are the ways in which a server that accepts nothing ends the session at each
// message.
var troubles = map[string]func(*script.Conn, script.Packet) bool{
	"quota exceeded": func(c *script.Conn, _ script.Packet) bool {
		end(c, 0x97)
		return true
	},
	"silent": func(*script.Conn, script.Packet) bool { return true },
}

// waitRetryPause waits until each of n messages has ended its sessions, and no message is
// left that could be a witness.
func (w *world) waitRetryPause(n int) {
	w.t.Helper()
	w.waitWitnessNeeded()
	eventually(w.t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		ended := 0
		for _, times := range w.pipe.isolation.witnessEndings {
			ended += times
		}
		if w.pipe.dest == nil || w.pipe.inflight > 0 || ended < (n-1)*witnessEndsMax {
			return fmt.Errorf("%d sessions have ended at witnesses", ended)
		}
		return nil
	})
}

// When every message has ended a session, the server may recover without ending another
// session, and the source may have nothing else to send: its own window is full.
func TestIsolation_ServerTakesNothingForLonger_AllArriveWhenItRecovers(t *testing.T) {
	t.Parallel()
	for name, trouble := range troubles {
		for _, qos := range []byte{1, 2} {
			for _, n := range []int{1, 5} {
				t.Run(fmt.Sprintf("%s/qos=%d/messages=%d", name, qos, n), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, packet.V5, everything)
					w.destination.ackTimeout = 200 * time.Millisecond
					w.source.connect(false, nil)
					w.sendTopics(n, qos)
					w.source.sync()
					server := recoveringServer{trouble: trouble}
					x := w.runServers(server.answer, nil)
					defer x.stop()
					w.waitRetryPause(n)
					server.Store(true)
					w.retryNow()
					w.wantAcknowledged(1, n, qos)
					w.wantGivenUp(FateDropped)
				})
			}
		}
	}
}

// Such a server may have accepted the messages themselves.
func TestIsolation_ServerTakesNoPubrelForLonger_AllArriveWhenItRecovers(t *testing.T) {
	t.Parallel()
	for _, resumes := range []bool{false, true} {
		for _, n := range []int{1, 5} {
			t.Run(fmt.Sprintf("resumes=%v/messages=%d", resumes, n), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, packet.V5, everything)
				w.source.connect(false, nil)
				w.sendTopics(n, 2)
				w.source.sync()
				var recovered atomic.Bool
				x := w.runServers(func(*script.Conn, script.Packet) bool { return false }, func(x *serverRotation) {
					x.keepSessions = resumes
					x.onPubrel = func(c *script.Conn, _ string) bool {
						if recovered.Load() {
							return false
						}
						end(c, 0x97)
						return true
					}
				})
				defer x.stop()
				w.waitRetryPause(n)
				recovered.Store(true)
				w.retryNow()
				w.wantAcknowledged(1, n, 2)
				w.wantGivenUp(FateDropped)
			})
		}
	}
}

// The process is killed in the pause before all messages are tried once more. Its source
// has their acknowledgements: they are on disk.
func TestIsolation_KilledWhileNoWitnessIsLeft_AllArrive(t *testing.T) {
	t.Parallel()
	const n = 5
	w := newDiskWorld(t, packet.V5, t.TempDir(), nil)
	w.source.connect(false, nil)
	w.sendTopics(n, 1)
	w.wantAcknowledged(1, n, 1)
	x := w.runServers(troubles["quota exceeded"], nil)
	w.waitRetryPause(n)
	next := w.restartAfterKill(packet.V5)
	x.stop()
	server := next.runServers(func(*script.Conn, script.Packet) bool { return false }, nil)
	defer server.stop()
	server.waitAccepted("t/0=0", "t/1=1", "t/2=2", "t/3=3", "t/4=4")
	next.wantGivenUp(FateDropped)
}

// A message is a witness against the suspect only if the suspect's server accepts it.
func TestIsolation_ServerChangesBeforeTheWitness_SuspectGoesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.sendTo("poison")
	w.source.sync()
	x := w.runServers(ending("poison", 0x97), nil)
	defer x.stop()
	w.waitWitnessNeeded()
	other := newSide(w, packet.V5)
	other.up(false)
	w.source.Send(script.Publish(2, 1, "t", "behind"))
	p := other.Next()
	for ; p.Type == v5.PINGREQ; p = other.Next() { // pings of the control
		other.Send(script.Packet{Type: v5.PINGRESP})
	}
	if p.Topic != "poison" {
		t.Errorf("the server gets %s first", p)
	}
}

// A server that ends the session at every message does so at messages of many topics. The
// cost per message of the queue stays small.
func TestIsolation_ManyTopicsHaveFailedAsWitness_EachMessageIsCheckedQuickly(t *testing.T) {
	const messages = 20000
	i := &isolation{suspect: &outgoing{}}
	var all []*outgoing
	for n := range messages {
		m := &outgoing{seq: uint64(n + 1)}
		m.Topic = fmt.Sprint(n)
		i.witnessEndedLocked(m)
		all = append(all, m)
	}
	start := time.Now()
	for _, m := range all {
		if !i.mayWitness(m) {
			t.Fatalf("message %d may not be sent again", m.seq)
		}
	}
	if passed := time.Since(start); passed > messages*10*time.Microsecond {
		t.Errorf("%v for each of %d messages", passed/messages, messages)
	}
	behind := &outgoing{seq: messages + 1}
	behind.Topic = "0"
	if i.mayWitness(behind) {
		t.Error("a message passes an earlier message of its topic")
	}
	all[0].progress = done
	if !i.mayWitness(behind) {
		t.Error("a message waits for a message that is done")
	}
}
