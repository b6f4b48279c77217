// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// chartLimit returns the memory limit of the operator in the Helm chart, in bytes.
func chartLimit(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("../../charts/mqttbridge-operator/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Resources struct {
			Limits struct{ Memory resource.Quantity }
		}
	}
	if err := yaml.Unmarshal(data, &values); err != nil {
		t.Fatal(err)
	}
	limit := values.Resources.Limits.Memory
	if limit.Sign() <= 0 {
		t.Fatal("the chart has no memory limit for the operator")
	}
	return limit.Value()
}

// TestScale_200Bridges_StaysWithinLimits runs all phases with few bridges. The limits are per
// bridge, so that they are the limits of 10,000 bridges, too.
func TestScale_200Bridges_StaysWithinLimits(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("the test needs an API server: run `make test`, or set KUBEBUILDER_ASSETS as CONTRIBUTING.md describes")
	}
	const bridges = 200
	memory := chartLimit(t)
	results, err := measure(t.Context(), options{bridges: bridges, namespaces: 1, steady: 10 * time.Second, memory: memory}, t.Logf)
	t.Logf("\n%s", render(results))
	if err != nil {
		t.Fatal(err)
	}
	phases := map[string]*result{}
	for i := range results {
		phases[results[i].phase] = &results[i]
	}
	for _, limit := range []struct {
		phase, what string
		got         func(*result) int
		perBridge   int
	}{
		{"create", "requests", func(r *result) int { return r.requests.total() }, 6},
		{"create", "reads", reads, 0},
		{"start of the pods", "status writes", func(r *result) int { return r.requests.statusWrites() }, 4},
		{"one more", "requests", func(r *result) int { return r.requests.total() }, 12},
		{"steady state", "requests", func(r *result) int { return r.requests.total() }, 0},
		{"change", "requests", func(r *result) int { return r.requests.total() }, 4},
		{"change", "status writes", func(r *result) int { return r.requests.statusWrites() }, 2},
		{"change", "reads", reads, 0},
		{"burst", "status writes", func(r *result) int { return r.requests.statusWrites() }, 1},
		{"burst", "events", func(r *result) int { return r.requests.events() }, 1},
		{"burst", "reads", reads, 0},
		{"restart", "writes", func(r *result) int { return r.requests.writes() }, 0},
		{"restart", "events", func(r *result) int { return r.requests.events() }, 0},
		// The child is written, and twice the status of its bridge, which is Reconciling meanwhile.
		{"taking the lead", "writes besides the three for the child", func(r *result) int { return r.requests.writes() - 3 }, 0},
		{"taking the lead", "seconds until the child is back, above 5", func(r *result) int { return int(r.reaction.Seconds()) - 5 }, 0},
	} {
		r, ok := phases[limit.phase]
		if !ok {
			t.Errorf("the phase %q is missing", limit.phase)
			continue
		}
		if got, most := limit.got(r), limit.perBridge*r.bridges; got > most {
			t.Errorf("%s: %d %s for %d bridges; want at most %d", limit.phase, got, limit.what, r.bridges, most)
		}
	}
	for _, r := range results {
		if r.usage.peak > memory {
			t.Errorf("%s: the operator needed %s; the limit of the chart is %d bytes", r.phase, mebibytes(r.usage.peak), memory)
		}
	}
}

// reads returns the number of objects that the operator read from the API server.
func reads(r *result) int {
	return r.requests.count(func(verb, _ string) bool { return verb == "get" })
}
