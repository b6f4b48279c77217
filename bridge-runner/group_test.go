// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
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

// The first report after a takeover must not have the takeover before, which the operator would report
// again.
func TestActivate_TakeoverAfterAnEarlierOne_ForgetsTheEarlierOne(t *testing.T) {
	for cause, want := range map[member.Cause]bool{member.HandedOver: false, member.PeerEnded: false, member.Confirmed: true} {
		g := newGroup(report.NewRegistry().AddMember(nil), slog.New(slog.DiscardHandler))
		st := report.NewState(manifestOf("test", "x", "mqtt://r.example", "").MQTTBridge, report.Runner(), report.NewMetrics())
		g.reportTo(st)
		st.SetTakeover(&v1alpha1.TakeoverRecord{From: "pod-2", Reason: v1alpha1.TakeoverHandedOver})
		g.Activate(member.Activation{Cause: cause})
		if got := st.Status().LastTakeover; (got != nil) != want {
			t.Errorf("%s: the latest takeover is %+v", cause, got)
		}
	}
}
