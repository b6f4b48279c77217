// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"slices"
	"testing"
)

// While a bridge of a host drains, because its file was removed, the file may be added again. Then the
// group must reach the sessions of both.
func TestGroup_BridgeIsAddedAgainWhileItDrains_BothAreReached(t *testing.T) {
	g := newGroup(nil, slog.New(slog.DiscardHandler))
	draining, next, other := g.add("plant/a"), g.add("plant/a"), g.add("plant/b")
	gates := g.gatesOf("plant/a")
	if len(gates) != 2 || !slices.Contains(gates, draining.gate) || !slices.Contains(gates, next.gate) {
		t.Fatalf("the group has %d gates of the bridge, want those of both", len(gates))
	}
	draining.unseat()
	if gates := g.gatesOf("plant/a"); len(gates) != 1 || gates[0] != next.gate {
		t.Errorf("after the end of the draining bridge, the group has %d gates of it", len(gates))
	}
	if gates := g.gatesOf("plant/b"); len(gates) != 1 || gates[0] != other.gate {
		t.Errorf("the group has %d gates of another bridge, want 1", len(gates))
	}
}
