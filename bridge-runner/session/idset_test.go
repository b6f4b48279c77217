// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIDSet_RandomChanges_EqualsPlainMap compares the set with a map.
func TestIDSet_RandomChanges_EqualsPlainMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := slices.Concat(ids(1, 130), ids(maxLowID-70, maxLowID), ids(minTrialID, maxTrialID))
	from := slices.Concat(all, []uint16{0, maxLowID + 1, maxHighID})
	var set idSet
	model := map[uint16]bool{}
	for range 5000 {
		if id := all[random.IntN(len(all))]; set.has(id) {
			set.remove(id)
			delete(model, id)
		} else {
			set.add(id)
			model[id] = true
		}
		for _, id := range all {
			if set.has(id) != model[id] {
				t.Fatalf("has(%d) = %v", id, set.has(id))
			}
		}
		above, most := from[random.IntN(len(from))], random.IntN(100)
		want := slices.DeleteFunc(slices.Sorted(maps.Keys(model)), func(id uint16) bool { return id <= above })
		want = want[:min(most, len(want))]
		if got := set.above(above, most); !slices.Equal(got, want) || set.count != len(model) {
			t.Fatalf("above(%d, %d) of %d = %v, want %v of %d", above, most, set.count, got, want, len(model))
		}
		absent := uint16(0)
		for id := above + 1; id <= maxLowID && absent == 0; id++ {
			if !model[id] {
				absent = id
			}
		}
		if got := set.nextLowAbsent(above); got != absent {
			t.Fatalf("nextLowAbsent(%d) of %d = %d, want %d", above, set.count, got, absent)
		}
	}
}

func TestIDSet_Nil_IsEmpty(t *testing.T) {
	var set *idSet
	if set.has(1) || set.next(0) != 0 || len(set.above(0, 1)) > 0 || set.nextLowAbsent(0) != 1 || set.nextLowAbsent(maxLowID) != 0 {
		t.Error("a nil set has identifiers")
	}
}
