// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// A bridge that publishes at QoS 0 and 1 releases nothing, so it must not list the identifiers.
func TestStaleIDs_AfterRestart_ListedAtFirstQoS2Message(t *testing.T) {
	s := &Session{state: NewState(), version: packet.V5, flusher: &Flusher{}}
	s.state.beginConnection(true)
	out := &s.state.out
	if id := s.nextIDLocked(1, time.Now()); id <= maxLowID {
		t.Errorf("the message of QoS 1 gets the identifier %d, under which the server may hold a message", id)
	}
	if !out.stale.has(1) || !out.stale.has(maxLowID) || !out.stale.has(minTrialID) || out.stale.has(maxLowID+1) {
		t.Error("the set has other identifiers than those of QoS 2 messages")
	}
	if n := len(out.stale.byID); n > 0 {
		t.Errorf("%d identifiers are listed before a message of QoS 2", n)
	}
	s.nextIDLocked(2, time.Now())
	if n, want := len(out.stale.byID), maxLowID+maxTrialID-minTrialID+1; n != want {
		t.Errorf("%d identifiers are released, want %d", n, want)
	}
	for id := range maps.Clone(out.stale.byID) {
		out.stale.remove(id)
	}
	if !out.stale.isEmpty() || out.stale.byID != nil {
		t.Error("the released identifiers still need memory")
	}
}

// TestStaleIDs_RandomChanges_EqualPlainMap compares the set with a map of all identifiers.
func TestStaleIDs_RandomChanges_EqualPlainMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	ids := []uint16{1, 2, maxLowID, maxLowID + 1, maxHighID, minTrialID, maxTrialID}
	sessions := []*Session{{}, {}}
	for range 300 {
		var set staleIDs
		model := map[uint16]*Session{}
		for range 12 {
			id, by := ids[random.IntN(len(ids))], sessions[random.IntN(2)]
			switch random.IntN(6) {
			case 0:
				set.add(id)
				model[id] = nil
			case 1:
				set.remove(id)
				delete(model, id)
			case 2:
				set.addAll(allBlocks)
				for id := range uint16(maxTrialID + 1) {
					if isQoS2ID(id) {
						model[id] = nil
					}
				}
			case 3:
				set.beginConnection()
				for id := range model {
					model[id] = nil
				}
			case 4:
				var want []uint16
				for _, id := range slices.Sorted(maps.Keys(model)) {
					if model[id] != by {
						want = append(want, id)
						model[id] = by
					}
				}
				if got := set.release(by); !slices.Equal(got, want) {
					t.Fatalf("released %v, want %v", got, want)
				}
			default:
				set = set.clone()
				for id := range model {
					model[id] = nil
				}
			}
			compareStale(t, &set, model, ids, sessions)
		}
	}
}

func compareStale(t *testing.T, set *staleIDs, model map[uint16]*Session, ids []uint16, sessions []*Session) {
	t.Helper()
	if set.isEmpty() != (len(model) == 0) {
		t.Fatalf("empty: %v, but the map has %d identifiers", set.isEmpty(), len(model))
	}
	for _, id := range ids {
		if _, want := model[id]; set.has(id) != want {
			t.Fatalf("has(%d) = %v", id, !want)
		}
	}
	for _, by := range sessions {
		want := uint16(0)
		for _, id := range slices.Sorted(maps.Keys(model)) {
			if model[id] == by {
				want = id
				break
			}
		}
		if got := set.lowest(by); got != want {
			t.Fatalf("the lowest released identifier is %d, want %d", got, want)
		}
	}
}
