// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// A message that blocks would be tried again after 30 seconds, longer than a test waits.
func TestUpdate_BlockIsReplacedWhileAMessageBlocks_TheOthersContinueAtOnce(t *testing.T) {
	const window, atOnce = 1, 10
	for _, c := range []struct {
		name   string
		v      packet.Version
		window int
		answer func(*script.Conn, script.Packet) bool
		cause  string
	}{
		{"refused", packet.V5, window, refusing("poison", 0x87, 0), DropRefused},
		{"refused, with others in flight", packet.V5, atOnce, refusing("poison", 0x87, 0), DropRefused},
		{"ends the session", packet.V5, window, ending("poison", 0), DropUnforwardable},
		{"ends the session, MQTT 3.1.1", packet.V311, atOnce, ending("poison", 0), DropUnforwardable},
	} {
		for _, deadLetter := range []string{"", "dead"} {
			t.Run(fmt.Sprintf("%s/dead letter=%q", c.name, deadLetter), func(t *testing.T) {
				t.Parallel()
				w := newWorldWith(t, c.v, Options{Unforwardable: Unforwardable{Block: true}}, everything)
				w.addReverse()
				w.destination.window = c.window
				w.source.upForLetters()
				w.send(4, 1, 1)
				w.source.sync()
				x := w.runServers(c.answer, nil)
				defer x.stop()
				w.wantGivenUp(FateBlocks, "poison")
				w.wantAcknowledged(1, 1, 1)
				w.update(Options{Unforwardable: Unforwardable{DeadLetter: deadLetter}}, everything)
				if deadLetter != "" {
					letter := w.source.Next()
					if letter.Topic != deadLetter {
						t.Fatalf("%s instead of a dead letter", letter)
					}
					w.source.Send(script.Ack(v5.PUBACK, letter.ID, 0))
				}
				w.wantAcknowledged(2, 4, 1)
				x.waitAccepted("t=0", "t=2", "t=3")
				w.wantDropped(c.cause, 1)
				w.wantUnblocked(1)
				w.wantLastGivenUp(deadLetter)
			})
		}
	}
}

// wantLastGivenUp fails unless the message that was given up last was published under the topic
// deadLetter, or was dropped if that is empty.
func (w *world) wantLastGivenUp(deadLetter string) {
	w.t.Helper()
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	fate := FateDropped
	if deadLetter != "" {
		fate = FateDeadLetter
	}
	last := w.meter.givenUp[len(w.meter.givenUp)-1]
	if last.Topic != "poison" || last.Fate != fate || last.DeadLetter != deadLetter {
		w.t.Errorf("given up: %+v, want the fate %s, %q", last, fate, deadLetter)
	}
}

func TestUpdate_BlockIsReplacedWhileAMessageTooLargeBlocks_TheOthersContinueAtOnce(t *testing.T) {
	for name, connected := range map[string]bool{"connected": true, "destination down": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{Block: true}}, everything)
			w.source.connect(false, nil)
			limit := &v5.Properties{MaximumPacketSize: new(uint32(100))}
			w.destination.connect(false, limit)
			w.pipe.Up(w.destination.s)
			w.source.Send(script.Publish(1, 1, "poison", strings.Repeat("x", 100)), script.Publish(2, 1, "t", "b"))
			w.source.sync()
			w.wantGivenUp(FateBlocks, "poison")
			if !connected {
				w.destination.down()
			}
			w.update(Options{}, everything)
			w.source.Want("PUBACK 1")
			if !connected {
				w.destination.connect(false, limit)
				w.pipe.Up(w.destination.s)
			}
			w.destination.Want("PUBLISH 1 qos1 t=b")
			w.wantDropped(DropTooLarge, 1)
			w.wantUnblocked(1)
		})
	}
}

// The server may still accept a message that is in flight.
func TestUpdate_BlockIsReplacedWhileTheMessageIsInFlight_TheAnswerDecides(t *testing.T) {
	for _, code := range []byte{0, 0x87} {
		t.Run(fmt.Sprintf("code=%#x", code), func(t *testing.T) {
			w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{Block: true}}, everything)
			w.destination.window = 1
			w.source.connect(false, nil)
			w.destination.up(false)
			w.source.Send(script.Publish(1, 1, "poison", "a"), script.Publish(2, 1, "t", "b"))
			w.destination.Want("PUBLISH 1 qos1 poison=a")
			w.destination.Send(script.Ack(v5.PUBACK, 1, 0x87))
			w.wantGivenUp(FateBlocks, "poison")
			w.retryNow()
			w.destination.Want("PUBLISH 2 qos1 poison=a")
			w.update(Options{}, everything)
			w.source.sync() // nothing is acknowledged
			w.destination.Send(script.Ack(v5.PUBACK, 2, code))
			w.source.Want("PUBACK 1")
			w.destination.Want("PUBLISH 3 qos1 t=b")
			w.wantUnblocked(1)
			if code == 0 {
				w.wantDropped(DropRefused, 0)
			} else {
				w.wantDropped(DropRefused, 1)
			}
		})
	}
}

func TestUpdate_DropIsReplacedByBlock_TheNextUnforwardableMessageBlocks(t *testing.T) {
	w := newWorld(t, packet.V5, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "poison", "a"), script.Publish(2, 1, "t", "b"))
	w.destination.Want("PUBLISH 1 qos1 poison=a")
	w.update(Options{Unforwardable: Unforwardable{Block: true}}, everything)
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0x87))
	w.wantGivenUp(FateBlocks, "poison")
	w.destination.sync() // the message behind it is not sent
	w.source.sync()
	w.wantDropped(DropRefused, 0)
}

func TestUpdate_DeadLetterTopicChangesWhileLettersWait_TheyKeepTheirTopic(t *testing.T) {
	for name, next := range map[string]Unforwardable{"another topic": {DeadLetter: "other"}, "removed": {}, "block": {Block: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
			w.addReverse() // it has no destination yet
			w.source.connect(false, nil)
			w.destination.up(false)
			w.source.Send(script.Publish(1, 1, "poison", "a"))
			refuse := func(id uint16, payload string) {
				w.destination.Want(fmt.Sprintf("PUBLISH %d qos1 poison=%s", id, payload))
				w.destination.Send(script.Ack(v5.PUBACK, id, 0x87))
				w.destination.sync()
			}
			refuse(1, "a")
			w.update(Options{Unforwardable: next}, everything)
			w.reverse.Update(nil, w.reverse.meter, Options{Unforwardable: next})
			want := []string{"dead=a"}
			if next.DeadLetter != "" {
				w.source.Send(script.Publish(2, 1, "poison", "b"))
				refuse(2, "b")
				want = append(want, "other=b")
			}
			w.source.sync()
			w.reverse.Up(w.source.s)
			w.flush()
			var got []string
			var acks []script.Packet
			for range want {
				p := w.source.Next()
				got = append(got, p.Topic+"="+p.Payload)
				acks = append(acks, script.Ack(v5.PUBACK, p.ID, 0))
			}
			if !slices.Equal(got, want) {
				t.Errorf("the dead letters are %q, want %q", got, want)
			}
			w.source.Send(acks...)
			w.wantAcknowledged(1, len(want), 1)
		})
	}
}
