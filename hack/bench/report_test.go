// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func rounds(bridge string, rates ...float64) []measurement {
	all := make([]measurement, 0, len(rates))
	for i, r := range rates {
		all = append(all, measurement{Case: quickCases()[0], Bridge: bridge, Round: i + 1, Saturated: &phase{Rate: r, CPU: 1}})
	}
	return all
}

func TestCompare_SeveralRounds_ReturnsRatioOfMediansAndSpread(t *testing.T) {
	all := append(rounds(runnerBridge, 100, 300, 200), rounds(peerBridge, 100, 100, 400)...)
	own, peer, ratio := compare(all, metrics[0], runnerBridge)
	if want := (spread{100, 200, 300}); own != want {
		t.Errorf("runner %v, want %v", own, want)
	}
	if want := (spread{100, 100, 400}); peer != want {
		t.Errorf("peer %v, want %v", peer, want)
	}
	if want := (spread{0.5, 2, 3}); ratio != want {
		t.Errorf("ratio %v, want %v", ratio, want)
	}
}

func TestCompare_FailedRound_IsExcludedFromRatio(t *testing.T) {
	all := append(rounds(runnerBridge, 100, 300), rounds(peerBridge, 500, 100)...)
	all[0].Saturated, all[0].Error = nil, "it ended"
	own, peer, ratio := compare(all, metrics[0], runnerBridge)
	if own.median != 300 || peer.median != 300 || ratio != (spread{3, 3, 3}) {
		t.Errorf("runner %v, peer %v, ratio %v", own, peer, ratio)
	}
}

func TestReport_WrittenAndRead_IsEqual(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.json")
	want := &report{Date: "2026-11-23T05:11:40Z", Rounds: 2, Measurements: append(rounds(runnerBridge, 1, 2), rounds(peerBridge, 3)...)}
	if err := want.write(file); err != nil {
		t.Fatal(err)
	}
	got, err := readReport(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

func TestRender_FileWithMarks_ReplacesOnlyTextBetweenThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(file, []byte("before\n"+beginMark+"old\n"+endMark+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &report{Date: "2026-11-23T05:11:40Z", Measurements: append(rounds(runnerBridge, 1500), rounds(peerBridge, 1000)...)}
	for range 2 { // the second time, it replaces its own output
		if err := r.render(file); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if !strings.HasPrefix(text, "before\n"+beginMark) || !strings.HasSuffix(text, endMark+"after\n") || strings.Contains(text, "old") {
		t.Errorf("rendered:\n%s", text)
	}
	if !strings.Contains(text, "| QoS 0, 128 B | 1500 / 1000 = **1.50** (1.50..1.50) |") {
		t.Errorf("the ratio is missing:\n%s", text)
	}
	if err := os.WriteFile(file, []byte("no marks\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.render(file); err == nil {
		t.Error("a file with no marks was accepted")
	}
}
