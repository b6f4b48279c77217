// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// Only this package and the packages above it know Kubernetes and the API.
func TestLowerLayers_Imports_ContainNoKubernetes(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../transport", "../session").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 10 {
		t.Fatalf("the list of imports is too short: %q", packages)
	}
	for _, p := range packages {
		if strings.HasPrefix(p, "k8s.io/") || strings.HasPrefix(p, "sigs.k8s.io/") || strings.Contains(p, "mqttbridge-operator/api") {
			t.Errorf("transport or session imports %s", p)
		}
	}
}

func TestMaskedSecret_InEachLayer_IsTheSame(t *testing.T) {
	if transport.MaskedSecret != v1alpha1.MaskedSecret {
		t.Errorf("%q and %q", transport.MaskedSecret, v1alpha1.MaskedSecret)
	}
}
