// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"runtime"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

func TestVector_SeriesOfSeveralLabels_AreSeparate(t *testing.T) {
	m := NewSparseMetrics()
	side := m.probes.of("local")
	side.with("a", "passed").inc()
	side.of("a").with("passed").add(2)
	side.with("b", "passed").inc()
	m.probes.with("remote", "a", "passed").inc()
	side.remove("a")
	side.with("a", "passed").inc()
	m.up.with("local", "a").set(0.5)
	got := gather(t, m)
	for series, want := range map[string]float64{
		"probes_total passed/a/local":  1,
		"probes_total passed/b/local":  1,
		"probes_total passed/a/remote": 1,
		"server_up a/local":            0.5,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s is %v, want %v; all: %v", series, value, want, got)
		}
	}
}

func TestVector_UsedSeries_IsFoundWithoutGarbage(t *testing.T) {
	dropped := newVector(metriclist.Metric{Name: "test_total", Type: metriclist.Counter, Help: "Test.", Labels: []string{"direction", "cause"}}).of(LocalToRemote)
	dropped.with("a").inc()
	if n := testing.AllocsPerRun(100, func() { dropped.with("a").inc() }); n > 0 {
		t.Errorf("%v allocations per event", n)
	}
}

// A process may have thousands of bridges.
func TestSparseMetrics_WithoutEvents_NeedLittleMemory(t *testing.T) {
	const bridges, limit = 200, 8 << 10
	all := make([]*Metrics, 0, bridges)
	before := heapInUse()
	for range bridges {
		all = append(all, NewSparseMetrics())
	}
	if each := int(heapInUse()-before) / bridges; each > limit {
		t.Errorf("%d bytes per bridge, more than %d", each, limit)
	}
	runtime.KeepAlive(all)
}

// heapInUse returns the size of the objects that are in use, in bytes.
func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
