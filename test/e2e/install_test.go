// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
)

func TestHelm_Test_FindsTheActiveOperator(t *testing.T) {
	log, err := release.Test(t.Context())
	must(t, err)
	for _, want := range []string{"serves mqttbridges", "is active: it holds the Lease", "refuses a client without credentials"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log of the test lacks %q:\n%s", want, log)
		}
	}
}

// This test removes the Helm release for its duration, and therefore does not run in parallel with
// others.
func TestKustomize_Install_RunsAWorkingOperator(t *testing.T) {
	must(t, release.Uninstall(t.Context()))
	t.Cleanup(func() { must(t, release.Install(context.Background(), operatorImage)) })
	remove, err := shared.Kustomize(t.Context(), operatorImage)
	must(t, err)
	t.Cleanup(func() { must(t, remove(context.Background())) }) // runs before the cleanup above
	w := newWorld(t)
	w.ready()
	w.stream()
	w.finish()
}
