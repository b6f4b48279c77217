// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// knowledge are the facts about its servers that a bridge has learned. The active member passes it to the
// standby, which then begins with the server in use and leaves out the servers that refuse it.
//
// Lock order: mu, then the lock of a session's State, and the locks of package peer.
type knowledge struct {
	seat *seat

	mu sync.Mutex
	// sides are the servers of each side, by name, and urls their URLs.
	sides map[string]map[string]failover.Knowledge
	urls  map[string]map[string]string
	// used are the servers that the latest bridge of this process has used, by side.
	used map[string]string
	// sessions are the sessions in use, and clientIDs the latest client identifiers in use, by side.
	sessions  map[string]*session.Session
	clientIDs map[string]string
	// unnamed are the sides whose session has another server or client identifier than the observer has reported:
	// it reports a switch after the first use of the session. The free blocks of the session do not belong to the
	// server in use that the standby knows.
	unnamed map[string]bool
	// joined is the latest activation in which the bridge has begun to forward. It is nil if there is none. A
	// bridge that has not begun passes nothing on: the standby needs the knowledge of the bridge before it.
	joined *activation
	// measured is the activation whose gap is measured, until the bridge forwards. Then it is nil.
	measured *activation
	// handOver is the latest request of a hand-over in the manifest.
	handOver string
	// deleted is true if the deletion of the bridge is complete.
	deleted bool
}

func newKnowledge(s *seat) *knowledge {
	return &knowledge{
		seat: s, sessions: map[string]*session.Session{}, used: map[string]string{}, clientIDs: map[string]string{},
		unnamed: map[string]bool{}, urls: map[string]map[string]string{},
		sides: map[string]map[string]failover.Knowledge{manifest.SideLocal: {}, manifest.SideRemote: {}},
	}
}

// inherit records the servers that an earlier bridge of this process has used. No other goroutine uses k yet.
func (k *knowledge) inherit(from *knowledge) {
	if k == nil {
		return
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	k.used, k.clientIDs = maps.Clone(from.used), maps.Clone(from.clientIDs)
	for side, servers := range from.sides {
		for name, s := range servers {
			if s.Active {
				k.used[side] = name
			}
		}
	}
}

// join records that the bridge begins to forward in an activation, and whether it is the first one of its name
// that does.
func (k *knowledge) join(a *activation, first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.joined = a
	if first {
		k.measured = a
	}
}

// change changes the knowledge about a server, and passes it on if this process is active.
func (k *knowledge) change(side, server string, apply func(*failover.Knowledge)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.sides[side][server]
	before := s
	apply(&s)
	if s.Active {
		delete(k.unnamed, side)
		for name, other := range k.sides[side] {
			other.Active = false
			k.sides[side][name] = other
		}
	}
	k.sides[side][server] = s
	if s != before {
		k.sendLocked()
	}
	if k.measured != nil && k.connectedLocked(manifest.SideLocal) && k.connectedLocked(manifest.SideRemote) {
		k.seat.forwarded(k.measured)
		k.measured = nil
	}
}

// use records the session that a side uses from now on. nil: it uses none. The standby learns the blocks of
// its QoS 2 messages.
func (k *knowledge) use(side string, s *session.Session) {
	if k == nil {
		return
	}
	if s != nil {
		s.OnFreeQoS2BlocksRequest(func() { go k.send() })
	}
	k.mu.Lock()
	k.setSessionLocked(side, s)
	k.mu.Unlock()
	k.send()
}

func (k *knowledge) setSessionLocked(side string, s *session.Session) {
	before := k.sessions[side]
	if s == nil {
		delete(k.sessions, side)
		delete(k.unnamed, side)
		return
	}
	k.sessions[side] = s
	if before != nil && before.State() != s.State() {
		k.unnamed[side] = true
	}
}

// send passes the knowledge on, and wakes the sessions that have waited for it.
func (k *knowledge) send() {
	k.mu.Lock()
	k.sendLocked()
	sessions := slices.Collect(maps.Values(k.sessions))
	k.mu.Unlock()
	for _, s := range sessions {
		s.Wake()
	}
}

// sendLocked passes the knowledge on if the bridge forwards, or has drained to hand over.
func (k *knowledge) sendLocked() {
	if !k.seat.isCurrent(k.joined) {
		return
	}
	free := k.freeLocked()
	k.seat.group.member.SetKnowledge(k.messageLocked(free))
	for side, blocks := range free {
		k.sessions[side].ShareFreeQoS2Blocks(blocks)
	}
}

// freeLocked returns the free blocks of the servers in use that the standby knows, by side.
func (k *knowledge) freeLocked() map[string]session.Blocks {
	free := map[string]session.Blocks{}
	for side, s := range k.sessions {
		if !k.unnamed[side] {
			free[side] = s.OfferFreeQoS2Blocks()
		}
	}
	return free
}

// setHandOver records the latest request of a hand-over, and passes it on if this process is active. It
// reports whether it is.
func (k *knowledge) setHandOver(value string) (active bool) {
	k.mu.Lock()
	changed := k.handOver != value
	k.handOver = value
	active = k.seat.active()
	k.mu.Unlock()
	if active && changed {
		k.send()
	}
	return active
}

// setDeleted records that the deletion of the bridge is complete, and passes it on if this process is active.
func (k *knowledge) setDeleted() {
	k.mu.Lock()
	k.deleted = true
	k.mu.Unlock()
	k.send()
}

func (k *knowledge) connectedLocked(side string) bool {
	for _, s := range k.sides[side] {
		if s.Active {
			return true
		}
	}
	return false
}

// setURLs records the URLs of the servers of a side, and passes them on if they have changed.
func (k *knowledge) setURLs(side string, servers []namedServer) {
	urls := map[string]string{}
	for _, s := range servers {
		urls[s.name] = s.url
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !maps.Equal(k.urls[side], urls) {
		k.urls[side] = urls
		k.sendLocked()
	}
}

func (k *knowledge) messageLocked(free map[string]session.Blocks) *peer.Knowledge {
	out := &peer.Knowledge{Bridge: k.seat.name, Ready: true, HandOver: k.handOver, Deleted: k.deleted, Sides: map[string]peer.SideKnowledge{}}
	for side, servers := range k.sides {
		known := peer.SideKnowledge{ClientID: k.clientIDs[side], FreeQoS2Blocks: uint64(free[side]), Servers: map[string]peer.ServerKnowledge{}}
		for name, s := range servers {
			if s.Active {
				known.Active = name
			}
			known.Servers[name] = peer.ServerKnowledge{
				URL: k.urls[side][name], FailedSince: peer.Since{Time: s.FailedAt}, RefusedSince: peer.Since{Time: s.RefusedAt}, Clean: s.Clean,
			}
		}
		if _, inUse := k.sessions[side]; !inUse {
			known.FreeQoS2Blocks = servers[known.Active].FreeQoS2Blocks
		}
		out.Sides[side] = known
	}
	return out
}

// drained records the QoS 2 messages of the bridge that the servers may hold after a drain, by server.
func (k *knowledge) drained(side string, held map[string]session.Held) {
	for name, h := range held {
		k.change(side, name, func(s *failover.Knowledge) { s.Clean, s.FreeQoS2Blocks = h.None, uint64(h.Free) })
	}
}

// of returns the knowledge about a side: its own, and the knowledge of the member that was active before. If
// no other member was, the bridge continues with the server that it used.
func (k *knowledge) of(side string, earlier *peer.Knowledge, a *activation) map[string]failover.Knowledge {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]failover.Knowledge{}
	for name, s := range k.sides[side] {
		s.Active = false
		out[name] = s
	}
	if earlier == nil {
		if name := k.used[side]; name != "" && a.Cause == member.Confirmed {
			s := out[name]
			s.Active, s.ClientID = true, k.clientIDs[side]
			out[name] = s
		}
		return out
	}
	known := earlier.Sides[side]
	for name, s := range known.Servers {
		own := out[name]
		if url := k.urls[side][name]; s.URL != "" && url != "" && s.URL != url {
			own.Active = name == known.Active // nothing else is known about a server of another URL
			out[name] = own
			continue
		}
		if s.FailedSince.After(own.FailedAt) {
			own.FailedAt = s.FailedSince.Time
		}
		if s.RefusedSince.After(own.RefusedAt) {
			own.RefusedAt = s.RefusedSince.Time
		}
		handedOver := a.Cause == member.HandedOver
		own.Active, own.Clean, own.FreeQoS2Blocks = name == known.Active, s.Clean && handedOver, 0
		if own.Active && (handedOver || a.sawEnd()) {
			own.FreeQoS2Blocks = known.FreeQoS2Blocks
		}
		own.ClientID = known.ClientID
		out[name] = own
	}
	return out
}

// recall gives the connectors the knowledge about the servers, before they run.
func (b *bridge) recall(earlier *peer.Knowledge, a *activation) {
	b.local.Recalled = b.know.of(manifest.SideLocal, earlier, a)
	b.remote.Recalled = b.know.of(manifest.SideRemote, earlier, a)
}
