// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"testing"
)

// It takes the Helm release away meanwhile, and so runs alone.
func TestKustomizeInstallsAWorkingOperator(t *testing.T) {
	must(t, release.Uninstall(t.Context()))
	t.Cleanup(func() { must(t, release.Install(context.Background(), operatorImage)) })
	remove, err := shared.Kustomize(t.Context(), operatorImage)
	must(t, err)
	t.Cleanup(func() { must(t, remove(context.Background())) }) // before the cleanup above
	w := newWorld(t)
	w.ready()
	w.stream()
	w.finish()
}
