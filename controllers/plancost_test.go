// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// fileBridges returns the bridges of the files in a directory of the project, by name of file.
func fileBridges(t testing.TB, directory, prefix string) map[string]*v1alpha1.MQTTBridge {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(apiserver.Root(), directory, prefix+"*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no bridges (%v)", directory, err)
	}
	out := map[string]*v1alpha1.MQTTBridge{}
	for _, file := range files {
		name := filepath.Base(file)
		out[strings.TrimSuffix(name, ".yaml")] = fromFile(t, directory, name)
	}
	return out
}

// allBridges returns the samples, the valid manifests and the bridge of the fixtures.
func allBridges(t testing.TB) map[string]*v1alpha1.MQTTBridge {
	t.Helper()
	out := fileBridges(t, filepath.Join("test", "manifests", "valid"), "")
	for name, b := range fileBridges(t, filepath.Join("config", "samples"), "mqttbridge_") {
		out[name] = b
	}
	out["minimal"] = newBridge("default", "plant")
	return out
}

// plannedBridge is a bridge for measurements of newPlan.
type plannedBridge struct {
	name   string
	bridge *v1alpha1.MQTTBridge
	// maxBytes is the largest number of bytes that newPlan may allocate for the bridge.
	maxBytes uint64
}

func plannedBridges(t testing.TB) []plannedBridge {
	t.Helper()
	all := allBridges(t)
	out := []plannedBridge{
		{"minimal", all["minimal"], 230 << 10},
		{"rich", all["mqttbridge_v1alpha1_mqttbridge_rich"], 450 << 10},
		{"everything", all["everything"], 1600 << 10},
	}
	for _, p := range out {
		p.bridge.SetDefaultClientIDs("a-cluster")
	}
	return out
}

// BenchmarkNewPlan measures the work for each bridge when the operator restarts.
func BenchmarkNewPlan(b *testing.B) {
	for _, p := range plannedBridges(b) {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := newPlan(p.bridge, testDefaults, &Policy{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// An operator that restarts with 10,000 bridges plans all of them. With little memory, the
// garbage collector needs most of this time.
func TestNewPlan_OneBridge_AllocatesLittleMemory(t *testing.T) {
	for _, p := range plannedBridges(t) {
		t.Run(p.name, func(t *testing.T) {
			// Other goroutines of the tests allocate, too, therefore the smallest result counts.
			got := ^uint64(0)
			for range 10 {
				got = min(got, allocatedBytes(func() {
					if _, err := newPlan(p.bridge, testDefaults, &Policy{}); err != nil {
						t.Fatal(err)
					}
				}))
			}
			t.Logf("a plan allocates %d bytes", got)
			if got > p.maxBytes {
				t.Errorf("a plan allocates %d bytes; want at most %d", got, p.maxBytes)
			}
		})
	}
}

// allocatedBytes returns the number of bytes that the process allocates while f runs.
func allocatedBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
