// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"testing"
)

// firstHashOf is how the first version of the operator made the hashes that are stored in
// annotations.
func firstHashOf(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return hash(string(sorted))
}

// Another hash would replace the pods of all bridges.
func TestHashOf_BridgesAndTheirChildren_IsTheHashOfEarlierVersions(t *testing.T) {
	for name, b := range allBridges(t) {
		values := []any{&b.Spec, runnerSpec(b)}
		if b.Spec.Runner != nil {
			values = append(values, b.Spec.Runner)
		}
		for _, c := range built(t, b) {
			values = append(values, c)
		}
		for _, v := range values {
			got, err := hashOf(v)
			if err != nil {
				t.Fatal(err)
			}
			if want := firstHashOf(t, v); got != want {
				t.Errorf("%s: the hash of %T is %s; want %s", name, v, got, want)
			}
		}
	}
}
