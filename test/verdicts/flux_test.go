// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package verdicts

import (
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fluxReader returns a function that gives the verdict of Flux with the documented
// healthCheckExprs.
func fluxReader(t *testing.T) func(*testing.T, *unstructured.Unstructured) string {
	t.Helper()
	var kustomization struct {
		HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
	}
	decodeExample(t, "healthCheckExprs", &kustomization)
	newReader, err := cel.NewStatusReader(kustomization.HealthCheckExprs)
	if err != nil {
		t.Fatal(err)
	}
	reader := newReader(nil)
	return func(t *testing.T, bridge *unstructured.Unstructured) string {
		t.Helper()
		result, err := reader.ReadStatusForObject(t.Context(), nil, bridge)
		if err != nil {
			t.Fatal(err)
		}
		if result.Error != nil {
			t.Fatal(result.Error)
		}
		return result.Status.String()
	}
}
