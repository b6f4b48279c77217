// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// The standby learns the blocks late. The messages that are sent meanwhile must be in blocks that it suspects before and
// after.
func TestQoS2Blocks_OfferedAndNotYetShared_MessagesUseOnlySuspectedBlocks(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.Window = 1000
		l := p.new()
		l.s.OnFreeQoS2BlocksRequest(func() {})
		l.publish(message(2, "x"))
		free := l.s.OfferFreeQoS2Blocks()
		n := 1
		for l.s.Publish(message(2, "x"), time.Now()) == Sent {
			n++
		}
		if n%blockSize != 0 || free.has(n) || !free.has(n+1) {
			t.Errorf("%d messages are sent while the blocks %b are offered as free", n, free)
		}
	})
}

// QoS 1 messages without an acknowledgement may have the next identifiers, so that the next free one is in a block that
// is not one of the next blocks. Its message must not wait forever.
func TestQoS2Blocks_NextIdentifiersAreInUse_BlockOfTheFreeOneIsOffered(t *testing.T) {
	var o outgoingState
	b := &o.blocks
	b.request = func() {}
	b.reset()
	for range 10 * blockSize {
		o.add(&Outgoing{qos: 1}, o.nextID(1))
	}
	o.lastLowID = 1 // the identifiers have begun again
	for range 2 {
		free := b.offer(0, o.lastLowID, o.qos2InFlight)
		b.suspected, b.usable, b.requested = ^free, ^free, false
		if id := o.nextID(2); id > 0 {
			return
		}
	}
	t.Error("the message waits after two offers")
}

// The bridge returns to a server that shares its sessions with the server that it leaves. The other process has learned
// free blocks before the server turned out to hold messages in them.
func TestQoS2Blocks_MessagesOfAnotherServerAreFound_BlocksAreOfferedAgain(t *testing.T) {
	for name, all := range map[string]bool{"one message": false, "all identifiers": true} {
		t.Run(name, func(t *testing.T) {
			p, other := newPeer(t, packet.V5), newPeer(t, packet.V5)
			p.cfg.State.AssumeFreeQoS2Blocks(allBlocks)
			next := p.resume()
			requested := make(chan bool, 1)
			next.s.OnFreeQoS2BlocksRequest(func() { requested <- true })
			next.s.ShareFreeQoS2Blocks(next.s.OfferFreeQoS2Blocks())
			var l *link
			if all {
				l = other.resume() // an earlier process may have had messages
			} else {
				l = other.new()
				l.publish(message(2, "x"))
				l.c.Want("PUBLISH 1 qos2 t=x")
			}
			l.cut()
			l.s.State().Abandon(next.s)
			select {
			case <-requested:
			default:
				t.Fatal("the blocks are not offered again")
			}
			if free := next.s.OfferFreeQoS2Blocks(); free.has(1) {
				t.Errorf("the blocks %b are offered as free", free)
			}
		})
	}
}

// The rules publish at QoS 1 only, but the earlier process had QoS 2 messages: its rules were others. A Mosquitto that
// holds as many messages as it may would drop the next message, also one of QoS 1.
func TestStaleQoS2_RulesPublishAtQoS1AndBlocksAreSuspected_MessageWaits(t *testing.T) {
	delayBackgroundReleases(t)
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.PublishQoS = 1
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(1))
		l := p.resume()
		l.publishWhenReleased(message(1, "x"), ids(1, blockSize))
		l.c.Want("PUBLISH 4097 qos1 t=x")
	})
}

// A trial has an identifier outside the blocks. If the server may hold one, the next process must release it before it
// sends newer messages.
func TestQoS2Blocks_TrialIsDropped_NothingIsFree(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.AckTimeout = 200 * time.Millisecond
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(1))
		m := message(2, "x")
		l := p.resume()
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		_ = l.wantOver() // the server has not answered the PUBRELs
		p.cfg.AckTimeout = time.Minute
		l = p.resume()
		l.publish(m)
		l.wantTrial("x")
		l.cut()
		p.cfg.State.Forget(m)
		if free := l.s.OfferFreeQoS2Blocks(); free != 0 {
			t.Errorf("the blocks %b are free", free)
		}
		if got := p.cfg.State.Held(); got.None || got.Free != 0 {
			t.Errorf("after the session: %+v", got)
		}
	})
}

// The same holds for the trial on another server that shares its sessions with this one.
func TestStaleIDs_TrialIsAddedToSuspectedBlocks_MessagesWaitForIt(t *testing.T) {
	var s staleIDs
	s.addAll(Blocks(1))
	s.add(minTrialID)
	if blocks, known := s.blocks(); known {
		t.Errorf("only the blocks %b are suspected", blocks)
	}
	released := s.release(&Session{})
	if !slices.Contains(released, minTrialID) {
		t.Errorf("%d identifiers are released, without the one of the trial", len(released))
	}
}

// The next process must release the messages in flight, and cannot trust a session that this process has not used.
func TestHeld_SessionIsUnusedOrHasMessagesInFlight_NothingIsTrusted(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		check := func(when string, want Held) {
			t.Helper()
			if got := p.cfg.State.Held(); got != want {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		check("not used", Held{})
		l := p.resume()
		l.cut()
		check("resumed, and nothing released", Held{Used: true})
		l = p.new()
		m := message(2, "x")
		l.publish(m)
		l.c.Want("PUBLISH 1 qos2 t=x")
		l.cut()
		check("in flight", Held{Used: true})
		p.new().cut()
		check("a new session", Held{Used: true, None: true, Free: allBlocks})
	})
}

// A server ends the session at the PUBREL of a message that it holds. The bridge returns to a server that shares its
// sessions with this one: it would treat a new message under the same identifier as the held message.
func TestAbandonAndReleaseOn_IdentifierIsRetired_IsNotUsedOnTheNextServer(t *testing.T) {
	for name, release := range map[string]func(*State, *Session) bool{
		"the latest server": func(s *State, next *Session) bool { s.Abandon(next); return true },
		"the one before it": (*State).ReleaseOn,
	} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, p *peer) {
				next := newPeer(t, p.cfg.Version)
				next.new().cut() // it begins the session that both servers share
				l := p.new()
				m := message(2, "x")
				l.publish(m)
				l.c.Want("PUBLISH 1 qos2 t=x")
				l.c.Send(script.Ack(v5.PUBREC, 1, 0))
				l.c.Want("PUBREL 1")
				l.cut()
				p.cfg.State.GiveUp(m)
				other := next.resume()
				if !release(p.cfg.State, other.s) {
					t.Error("the server counts as one that holds no messages")
				}
				other.publish(message(2, "y"))
				other.c.Want("PUBLISH 2 qos2 t=y")
			})
		})
	}
}

// A server that does not answer a ping says nothing about QoS 2 if no PUBREL waits for its answer. A QoS 1 message that did
// not wait then could be dropped by a Mosquitto.
func TestStaleQoS2_PingUnansweredWithoutUnansweredPubrels_QoS1MessageWaitsOnNextConnection(t *testing.T) {
	for name, released := range map[string]int{"no PUBREL": 0, "some PUBRELs are answered": 3} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, p *peer) {
				p.cfg.PublishQoS = 2
				p.cfg.KeepAlive, p.cfg.PingTimeout = 500*time.Millisecond, 200*time.Millisecond
				m := message(1, "x")
				l := p.resume()
				if released > 0 {
					l.wantResult(Full, m)
					l.s.flusher.Flush()
					l.sendPubcomps(qos2IDs()[:released])
				}
				if err := l.wantOver(); err == nil || err.Reason != "PingTimeout" {
					t.Fatalf("ended by %v", err)
				}
				p.cfg.KeepAlive, p.cfg.PingTimeout = time.Minute, time.Minute
				l = p.resume()
				l.publishWhenReleased(m, qos2IDs()[released:])
			})
		})
	}
}

// The free blocks of the earlier process are valid for its session only. A server may keep that session although the
// bridge asks for a new one.
func TestStaleQoS2_ServerKeepsTheSessionAtACleanStart_EarlierFreeBlocksAreNotTrusted(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(1))
		p.cfg.CleanStart = true
		p.resume().cut()
		p.cfg.CleanStart = false
		l := p.resume()
		l.publishWhenReleased(message(1, "x"), qos2IDs())
	})
}
