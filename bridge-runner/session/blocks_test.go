// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// ids returns the identifiers from first to last.
func ids(first, last uint16) (all []uint16) {
	for id := first; id <= last; id++ {
		all = append(all, id)
	}
	return all
}

// The earlier process had messages in one block. A message waits for the identifiers of this block, and no
// message uses another one before the server has released it.
func TestStaleQoS2_BlocksKnown_OthersReleasedWhileMessagesFlow(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(1 << 63)) // the last block, so that the next identifiers are the first ones
		last := ids(maxLowID-blockSize+1, maxLowID)
		l := p.resume()
		first := message(2, "first")
		l.publishWhenReleased(first, last)
		l.c.Want(pubrels(ids(1, laterAtFirst))...) // written at the last PUBCOMP, before Ready
		l.c.Want("PUBLISH 4033 qos2 t=first")
		l.c.Send(script.Ack(v5.PUBREC, last[0], 0))
		l.c.Want("PUBREL 4033")
		l.c.Send(script.Ack(v5.PUBCOMP, last[0], 0))
		l.want("acknowledged first")
		l.sendPubcomps(ids(1, laterAtFirst))
		trials := ids(minTrialID, maxTrialID) // they are above the latest identifier
		l.c.Want(pubrels(trials)...)
		l.sendPubcomps(trials)
		for from := uint16(laterAtFirst + 1); from <= maxLowID-blockSize; from += laterAtOnce {
			next := ids(from, min(from+laterAtOnce-1, maxLowID-blockSize))
			l.c.Want(pubrels(next)...)
			l.sendPubcomps(next)
		}
		l.sync()
		if !p.cfg.State.Held().None {
			t.Error("identifiers are left")
		}
	})
}

// After a takeover of many bridges, the PUBRELs that no message needs soon wait for their turn among all sessions
// of the process.
func TestStaleQoS2_ManySessionsRelease_OnlyNeededIdentifiersAreReleasedAtOnce(t *testing.T) {
	delayBackgroundReleases(t)
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.Window = 1000
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(7))
		l := p.resume()
		m := message(2, "x")
		l.publishWhenReleased(m, ids(1, 3*blockSize))
		l.c.Want("PUBLISH 1 qos2 t=x")
		messages := 1
		for ; 3*blockSize-messages >= 2*messages; messages++ {
			l.publish(message(2, "x"))
			l.c.Want(fmt.Sprintf("PUBLISH %d qos2 t=x", messages+1))
		}
		l.publish(message(2, "x"))
		l.c.Want(pubrels(ids(3*blockSize+1, 3*blockSize+laterAtOnce))...)
	})
}

// delayBackgroundReleases makes the sessions of the test wait for many others before they write PUBRELs for which no
// message waits.
func delayBackgroundReleases(t *testing.T) {
	const others = 1 << 30
	releasing.Add(others)
	t.Cleanup(func() { releasing.Add(-others) })
}

// While the server has not released the next identifiers, messages wait, because it may hold a message
// under them.
func TestStaleQoS2_BlocksKnownAndUsedUp_MessagesWaitForTheNextIdentifiers(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.Window = 1000
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(1))
		l := p.resume()
		m := message(2, "x")
		l.publishWhenReleased(m, ids(1, blockSize))
		l.c.Want("PUBLISH 1 qos2 t=x")
		l.c.Want(pubrels(ids(blockSize+1, blockSize+laterAtOnce))...)
		for range blockSize - 1 {
			l.publish(message(2, "x"))
		}
		for range blockSize - 1 {
			l.c.Next()
		}
		next := message(2, "next")
		l.wantResult(Full, next)
		l.sendPubcomps(ids(blockSize+1, blockSize+laterAtOnce))
		l.c.Want(pubrels(ids(blockSize+laterAtOnce+1, blockSize+2*laterAtOnce))...)
		l.publish(next)
		l.c.Want("PUBLISH 65 qos2 t=next")
	})
}

// A connection that ends before the identifiers are released changes nothing.
func TestStaleQoS2_BlocksKnownAndConnectionLost_TheRestIsReleasedOnTheNext(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(1))
		l := p.resume()
		m := message(2, "x")
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		l.c.Want(pubrels(ids(1, blockSize))...)
		l.sendPubcomps(ids(1, blockSize)[:blockSize-1])
		l.sync()
		l.cut()
		l = p.resume()
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		l.c.Want("PUBREL 64")
		l.sendPubcomps([]uint16{blockSize})
		l.publishWhenReady(m)
		l.c.Want("PUBLISH 1 qos2 t=x")
		l.c.Want(pubrels(ids(blockSize+1, blockSize+laterAtOnce))...)
		l.cut()
		l = p.resume()
		l.publish(m)
		l.c.Want("PUBLISH 1 qos2 dup t=x")
		l.publish(message(2, "y"))
		l.c.Want("PUBLISH 2 qos2 t=y")
		l.c.Want(pubrels(ids(blockSize+1, blockSize+laterAtOnce))...)
	})
}

// Whatever happens to messages, and however late the other process learns the blocks, it suspects the blocks of all
// messages in flight.
func TestQoS2Blocks_RandomMessages_TheOtherProcessSuspectsAll(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var o outgoingState
	b := &o.blocks
	requests, used, waited := 0, 0, 0
	b.request = func() { requests++ }
	b.reset()
	suspected := allBlocks
	var inFlight []*Outgoing
	for range 50000 {
		switch n := random.IntN(100); {
		case n < 51 && len(inFlight) < 300:
			m := &Outgoing{qos: byte(1 + random.IntN(2))}
			if id := o.nextID(m.qos); id > 0 {
				o.add(m, id)
				used++
				inFlight = append(inFlight, m)
			} else if b.requested {
				waited++
			}
		case n < 95 && len(inFlight) > 0:
			i := random.IntN(min(len(inFlight), 10))
			o.remove(inFlight[i])
			inFlight = slices.Delete(inFlight, i, i+1)
		case b.requested && random.IntN(20) == 0: // some 400 steps later
			b.requested = false
			free := b.offer(0, o.lastLowID, o.qos2InFlight)
			if id := o.nextID(2); id > 0 && random.IntN(2) == 0 { // before the other process learns them
				m := &Outgoing{qos: 2}
				o.add(m, id)
				inFlight = append(inFlight, m)
			}
			suspected = ^free
			b.suspected, b.usable = suspected, suspected
		}
		for _, m := range inFlight {
			if m.qos == 2 && m.id <= maxLowID && !suspected.has(int(m.id)) {
				t.Fatalf("the other process does not suspect the block of the identifier %d: %b", m.id, suspected)
			}
		}
		if o.qos2InFlight == 0 && b.inFlight != [blockCount]uint16{} {
			t.Fatal("messages are counted that are not in flight")
		}
	}
	if requests == 0 || requests > used/(blockSize/4) {
		t.Errorf("%d requests for %d messages", requests, used)
	}
	if waited == 0 {
		t.Error("no message has waited, so that the test shows little")
	}
}

// The other process must release a message that this one has dropped, and its own next ones.
func TestQoS2Blocks_StaleIdentifier_ItsBlockIsOffered(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		m := message(2, "x")
		for id := uint16(1); id <= blockSize+1; id++ {
			m = message(2, "x")
			l.publish(m)
			l.c.Want(fmt.Sprintf("PUBLISH %d qos2 t=x", id))
			if id <= blockSize {
				l.c.Send(script.Ack(v5.PUBREC, id, 0))
				l.c.Want(fmt.Sprintf("PUBREL %d", id))
				l.c.Send(script.Ack(v5.PUBCOMP, id, 0))
				l.want("acknowledged x")
			}
		}
		l.cut()
		p.cfg.State.Forget(m)
		if got := l.s.OfferFreeQoS2Blocks(); ^got != 0b10 {
			t.Errorf("all blocks are free but %b while the identifier 65 is stale", ^got)
		}
		if got := p.cfg.State.Held(); got.None || ^got.Free != 0b10 {
			t.Errorf("after the session: %+v", got)
		}
	})
}

// Bridges without QoS 2 messages have takeovers, too. If their standby suspected a block, then the first message
// after a takeover would wait for its identifiers. With many bridges, this needs a second.
func TestQoS2Blocks_NoQoS2Messages_AreAllFree(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		l := p.new()
		l.publish(message(1, "x"))
		l.c.Want("PUBLISH 1 qos1 t=x")
		for range 2 {
			free := l.s.OfferFreeQoS2Blocks()
			if ^free != 0 {
				t.Fatalf("all blocks are free but %b", ^free)
			}
			l.cut()
			p.cfg.State = NewState()
			p.cfg.State.AssumeFreeQoS2Blocks(free)
			l = p.resume()
			l.publish(message(1, "x"))
			l.c.Want("PUBLISH 4097 qos1 t=x")
		}
		m := message(2, "exact")
		l.publishWhenReleased(m, ids(1, laterAtFirst)) // the knowledge may have been lost with the process
		l.c.Want("PUBLISH 1 qos2 t=exact")
	})
}

// After a takeover, the next standby suspects the same blocks.
func TestQoS2Blocks_SuspectedAfterTakeover_AreNotFree(t *testing.T) {
	delayBackgroundReleases(t)
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(0b1001))
		l := p.resume()
		if free := l.s.OfferFreeQoS2Blocks(); ^free != 0b1001 {
			t.Fatalf("all blocks are free but %b after the takeover", ^free)
		}
		l.publishWhenReleased(message(1, "x"), slices.Concat(ids(1, blockSize), ids(3*blockSize+1, 4*blockSize)))
		l.c.Want("PUBLISH 4097 qos1 t=x")
		if free := l.s.OfferFreeQoS2Blocks(); ^free != 0 {
			t.Fatalf("all blocks are free but %b after the release", ^free)
		}
	})
}

// If the blocks of the earlier process are unknown, the other process learns them after the release.
func TestQoS2Blocks_UnknownAndNoQoS2Messages_OfferedAfterTheRelease(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		l := p.resume()
		requested := make(chan bool, 10)
		l.s.OnFreeQoS2BlocksRequest(func() { requested <- true })
		offer := func(want Blocks) {
			t.Helper()
			free := l.s.OfferFreeQoS2Blocks()
			if ^free != want {
				t.Fatalf("all blocks are free but %b, want %b", ^free, want)
			}
			l.s.ShareFreeQoS2Blocks(free)
		}
		offer(allBlocks)
		l.publishWhenReleased(message(1, "x"), qos2IDs())
		l.c.Want("PUBLISH 1 qos1 t=x")
		<-requested
		offer(0)
	})
}

// A message waits until the other process knows the block of its identifier.
func TestQoS2Blocks_NotShared_MessageWaits(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.Window = 1000
		l := p.new()
		requested := make(chan bool, 10)
		l.s.OnFreeQoS2BlocksRequest(func() { requested <- true })
		share := func() (suspected Blocks) {
			free := l.s.OfferFreeQoS2Blocks()
			l.s.ShareFreeQoS2Blocks(free)
			return ^free
		}
		if share() != 0 {
			t.Error("a block is suspected before the first message")
		}
		first := message(2, "x")
		l.wantResult(Full, first)
		<-requested
		suspected := share()
		go l.s.Wake()
		l.publishWhenReady(first)
		n := 1
		m := message(2, "x")
		for ; l.s.Publish(m, time.Now()) == Sent; m = message(2, "x") {
			n++
		}
		if !suspected.has(n) || suspected.has(n+1) {
			t.Errorf("%d messages are sent in the blocks %b", n, suspected)
		}
		<-requested
		share()
		go l.s.Wake()
		l.publishWhenReady(m)
	})
}

// A thousand bridges that have sent a message of QoS 2 once must not make each server release a block for each of them
// after a takeover. The next message waits until the standby suspects its block.
func TestQoS2Blocks_NoMessageForAWhile_AreAllFree(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		requested := make(chan bool, 10)
		l.s.OnFreeQoS2BlocksRequest(func() { requested <- true })
		share := func(when string) (suspected Blocks) {
			t.Helper()
			select {
			case <-requested:
			case <-time.After(script.Timeout):
				t.Fatalf("%s: the free blocks are not offered", when)
			}
			free := l.s.OfferFreeQoS2Blocks()
			l.s.ShareFreeQoS2Blocks(free)
			go l.s.Wake()
			return ^free
		}
		l.s.ShareFreeQoS2Blocks(l.s.OfferFreeQoS2Blocks())
		for id := uint16(1); id <= 2; id++ {
			m := message(2, "x")
			l.wantResult(Full, m)
			if suspected := share("before a message"); suspected != 1 {
				t.Errorf("a message is sent in the blocks %b", suspected)
			}
			l.publishWhenReady(m)
			l.c.Want(fmt.Sprintf("PUBLISH %d qos2 t=x", id))
			time.Sleep(2*quietTime + quietTime/2)
			if free := l.s.OfferFreeQoS2Blocks(); ^free != 1 {
				t.Fatalf("the blocks %b are suspected while a message is in flight", ^free)
			}
			l.c.Send(script.Ack(v5.PUBREC, id, 0))
			l.c.Want(fmt.Sprintf("PUBREL %d", id))
			l.c.Send(script.Ack(v5.PUBCOMP, id, 0))
			l.want("acknowledged x")
			if suspected := share("after a message"); suspected != 0 {
				t.Errorf("the blocks %b are suspected when nothing is sent any more", suspected)
			}
		}
	})
}

// With many messages in flight, all blocks are suspected. A request for each message would need much processor time.
func TestQoS2Blocks_AllSuspected_FewRequests(t *testing.T) {
	const window = maxLowID / 2
	var o outgoingState
	b := &o.blocks
	requests, messages := 0, 0
	b.request = func() { requests++ }
	b.reset()
	share := func() {
		b.requested = false
		free := b.offer(0, o.lastLowID, o.qos2InFlight)
		b.suspected, b.usable = ^free, ^free
	}
	publish := func(qos byte) *Outgoing {
		id := o.nextID(qos)
		if id == 0 && b.requested {
			share()
			id = o.nextID(qos)
		}
		if id == 0 {
			return nil
		}
		m := &Outgoing{qos: qos}
		o.add(m, id)
		if b.requested {
			share()
		}
		messages++
		return m
	}
	var inFlight []*Outgoing
	for m := publish(2); m != nil; m = publish(2) { // until the last low identifier
		if inFlight = append(inFlight, m); len(inFlight) > window {
			o.remove(inFlight[0])
			inFlight = inFlight[1:]
		}
	}
	if b.suspected != allBlocks {
		t.Fatalf("with %d messages in flight, the blocks %b are free", window, ^b.suspected)
	}
	if requests > messages/(blockSize/4) {
		t.Errorf("%d requests for %d messages", requests, messages)
	}
	for _, m := range inFlight {
		o.remove(m)
	}
	for i := range 2 * blockSize {
		o.remove(publish(byte(1 + i%2)))
	}
	if b.suspected == allBlocks {
		t.Error("the other process suspects all blocks although few messages are in flight")
	}
}

// After a takeover, QoS 1 messages may have waited for the release of some blocks. The other process must not make
// them wait again if this process is killed, too.
func TestQoS2Blocks_SuspectedAndReleased_OfferedWithoutAQoS2Message(t *testing.T) {
	delayBackgroundReleases(t)
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		p.cfg.State.AssumeFreeQoS2Blocks(^Blocks(1))
		l := p.resume()
		requested := make(chan bool, 10)
		l.s.OnFreeQoS2BlocksRequest(func() { requested <- true })
		l.s.ShareFreeQoS2Blocks(l.s.OfferFreeQoS2Blocks())
		l.publishWhenReleased(message(1, "x"), ids(1, blockSize))
		select {
		case <-requested:
		case <-time.After(script.Timeout):
			t.Fatal("the free blocks are not offered")
		}
		if free := l.s.OfferFreeQoS2Blocks(); ^free != 0 {
			t.Errorf("all blocks are free but %b", ^free)
		}
	})
}

// A trial has an identifier outside the blocks. If this process is killed, the other one must release it before it sends
// newer messages.
func TestQoS2Blocks_TrialIsSent_NothingIsFree(t *testing.T) {
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
		requested := make(chan bool, 10)
		l.s.OnFreeQoS2BlocksRequest(func() { requested <- true })
		free := l.s.OfferFreeQoS2Blocks()
		if ^free != 1 {
			t.Fatalf("all blocks are free but %b before the trial", ^free)
		}
		l.s.ShareFreeQoS2Blocks(free)
		l.publish(m)
		l.wantTrial("x")
		select {
		case <-requested:
		case <-time.After(script.Timeout):
			t.Fatal("the blocks are not offered again")
		}
		if free := l.s.OfferFreeQoS2Blocks(); free != 0 {
			t.Errorf("the blocks %b are free", free)
		}
	})
}

// A server needs much time for 4,000 identifiers. With the blocks of the earlier process, the first message
// need not wait for it.
func TestStaleQoS2_RealServer_BlocksMakeTheFirstMessageFaster(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		r := newRealServer(t, "server")
		wanted := at1("none")
		resumed := func(known Blocks) (first time.Duration, free Blocks) {
			r.state = NewState()
			r.state.AssumeFreeQoS2Blocks(known)
			l := r.open(p.cfg, wanted)
			began := time.Now()
			m := message(2, "x")
			if l.s.Publish(m, began) != Sent {
				l.s.flusher.Flush()
				l.publishWhenReady(m)
			}
			l.s.flusher.Flush()
			l.want("acknowledged x")
			first, free = time.Since(began), l.s.OfferFreeQoS2Blocks()
			_ = l.s.conn.Close() // as if the process were killed
			<-l.s.Done()
			return first, free
		}
		_, free := resumed(0) // the session is new
		if free == 0 {
			t.Fatal("the first process announces no free blocks")
		}
		const times = 5
		var known, unknown []time.Duration
		for range times {
			first, _ := resumed(free)
			known = append(known, first)
			first, _ = resumed(0)
			unknown = append(unknown, first)
		}
		slices.Sort(known)
		slices.Sort(unknown)
		t.Logf("the first message needs %s, and %s if the blocks are unknown (medians)", known[times/2], unknown[times/2])
		if known[0] > unknown[0]/2 {
			t.Errorf("the first message needs %s, and %s if the blocks are unknown (lowest values)", known[0], unknown[0])
		}
	})
}
