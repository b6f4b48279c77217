// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math"
	"time"
)

// Blocks is a set of blocks of 64 low packet identifiers each: bit 0 is the block of the identifiers
// 1 to 64. A set of free blocks is a part of the protocol between two runners: the server holds no QoS 2
// message in them. If nothing is known, no block is free.
type Blocks uint64

const (
	blockSize  = 64
	blockCount = maxLowID / blockSize
	allBlocks  = Blocks(math.MaxUint64)
)

func blockOf(id uint16) int { return int(id-1) / blockSize }

// has reports whether the set has the block of a low identifier. The identifiers behind the last low one
// are the first ones.
func (b Blocks) has(id int) bool { return b>>((id-1)/blockSize%blockCount)&1 != 0 }

// add adds the block of an identifier, which is counted as in has.
func (b *Blocks) add(id int) { *b |= 1 << ((id - 1) / blockSize % blockCount) }

// qos2Blocks knows the blocks of the QoS 2 messages in flight. If another process may continue the session
// at any time, it learns them, so that it need not release all identifiers before its first message. A
// message uses an identifier only after the other process has learned its block.
type qos2Blocks struct {
	// inFlight is the number of QoS 2 messages in flight in each block.
	inFlight [blockCount]uint16
	// request asks for a call of OfferFreeQoS2Blocks. It is nil if there is no other process. The fields
	// below are valid if it is not nil.
	request func()
	// requested is true from the call of request until OfferFreeQoS2Blocks.
	requested bool
	// wanted is the identifier that a message could not use. It is 0 if there is none.
	wanted uint16
	// used is whether the session has QoS 2 messages.
	used bool
	// latest is the low identifier of the latest QoS 2 message. It is 0 if there was none.
	latest uint16
	// sent counts the QoS 2 messages. quietCheck is the session that checks whether no more are sent, nil if
	// none does, and sentAtCheck is sent at its last check.
	sent, sentAtCheck uint64
	quietCheck        *Session
	// suspected are the blocks that the other process suspects: all, if it knows nothing.
	suspected Blocks
	// usable are the blocks that messages may use.
	usable Blocks
}

func (b *qos2Blocks) reset() {
	*b = qos2Blocks{request: b.request, suspected: allBlocks, usable: allBlocks}
}

// mayUse reports whether a QoS 2 message may use an identifier now.
func (b *qos2Blocks) mayUse(id uint16) bool {
	if b.request == nil || id > maxLowID || b.usable.has(int(id)) {
		return true
	}
	b.wanted, b.used = id, true
	b.ask()
	return false
}

func (b *qos2Blocks) ask() {
	if b.request != nil && !b.requested {
		b.requested = true
		b.request()
	}
}

// add counts a QoS 2 message. It asks for more blocks before the messages reach the end of the suspected
// ones: by a quarter of a block, and by more if many are in flight. If all blocks are suspected, fewer may suffice: it asks
// once in each block.
func (b *qos2Blocks) add(id uint16, inFlight int) {
	b.inFlight[blockOf(id)]++
	b.sent++
	entered := b.latest == 0 || blockOf(b.latest) != blockOf(id)
	b.used, b.latest = true, id
	if b.suspected == allBlocks && entered || !b.suspected.has(int(id)+blockSize/4+inFlight) {
		b.ask()
	}
}

// offer returns the blocks that are free: they have no stale identifiers, no messages in flight, and none of
// the next messages. A bridge without QoS 2 messages has no next ones. Until the blocks are shared, messages use
// only blocks that the other process suspects before and after.
func (b *qos2Blocks) offer(stale Blocks, last uint16, inFlight int) (free Blocks) {
	blocks := stale
	for i, n := range b.inFlight {
		if n > 0 {
			blocks.add(i*blockSize + 1)
		}
	}
	if b.used {
		ahead := min(blockSize/2+4*inFlight, maxLowID-blockSize)
		for i := 0; i < ahead; i += blockSize {
			blocks.add(int(last) + 1 + i)
		}
		blocks.add(int(last) + 1 + ahead)
	}
	if b.wanted > 0 {
		blocks.add(int(b.wanted))
		b.wanted = 0
	}
	b.usable &= blocks
	return ^blocks
}

// quietTime is the time without QoS 2 messages after which all blocks are offered as free. The next message then
// waits until its block is shared. Otherwise each bridge with a message of QoS 2 now and then would have to release
// a block after a takeover, which needs more time than its connections if there are many bridges.
const quietTime = time.Second

// offerBlocksWhenQuietLocked makes the session offer all blocks when it has sent no QoS 2 message for quietTime to
// twice quietTime.
func (s *Session) offerBlocksWhenQuietLocked() {
	b := &s.state.out.blocks
	if b.request != nil && b.quietCheck != s {
		b.quietCheck, b.sentAtCheck = s, b.sent
		time.AfterFunc(quietTime, s.checkQuiet)
	}
}

func (s *Session) checkQuiet() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	b := &out.blocks
	if b.quietCheck != s { // a later session checks
		return
	}
	b.quietCheck = nil
	switch {
	case s.closed:
	case out.qos2InFlight > 0 || b.sent != b.sentAtCheck:
		s.offerBlocksWhenQuietLocked()
	default:
		b.used = false
		b.ask()
	}
}

// OnFreeQoS2BlocksRequest makes the session call fn when OfferFreeQoS2Blocks is due. From then on, its QoS 2 messages
// use no blocks that are shared as free. fn must not wait, and must not call the session: its lock is held.
func (s *Session) OnFreeQoS2BlocksRequest(fn func()) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	b := &s.state.out.blocks
	b.request = fn
	b.suspected, b.usable, b.requested = allBlocks, allBlocks, false
}

// OfferFreeQoS2Blocks returns the blocks in which the server holds no QoS 2 message, and in which the next
// messages will not be. It returns 0 if they are unknown. The caller sends them to the other process, and then
// calls ShareFreeQoS2Blocks.
func (s *Session) OfferFreeQoS2Blocks() Blocks {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	out.blocks.requested = false
	stale, known := out.stale.blocks()
	if !known || out.trialsInFlight() {
		return 0
	}
	return out.blocks.offer(stale, out.lastLowID, out.qos2InFlight)
}

// ShareFreeQoS2Blocks records that the other process knows these free blocks. The caller then calls Wake, without
// locks.
func (s *Session) ShareFreeQoS2Blocks(free Blocks) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	b := &s.state.out.blocks
	b.suspected, b.usable = ^free, ^free
}

// Wake calls the handler's Ready if Publish has returned Full since the last call, and flushes.
func (s *Session) Wake() { s.notifyWritable() }

// AssumeFreeQoS2Blocks makes a new State trust that the server holds no QoS 2 messages of the earlier process in
// these blocks, see OfferFreeQoS2Blocks. It is called before the first connection. If the server holds
// one, that message is processed after newer messages. No message is lost, except on a Mosquitto that holds as many
// as it may: it drops new messages, see qos1WaitsLocked.
func (s *State) AssumeFreeQoS2Blocks(free Blocks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspected = ^free
}
