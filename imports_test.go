// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metricsFilters is the package of controller-runtime that checks the rights of clients of the
// metrics. It links packages of the API server that handle WebSocket and proxies.
const metricsFilters = "sigs.k8s.io/controller-runtime/pkg/metrics/filters"

// dependencies returns the packages that a package links, itself included.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", pkg)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return strings.Fields(string(out))
}

// The operator shares package manifest with the runner, and links no code that connects to
// servers.
func TestOperator_Dependencies_ContainNoTransport(t *testing.T) {
	const runner = "github.com/mqttbridge/mqttbridge-operator/bridge-runner/"
	shared := []string{runner + "httpserver", runner + "topic"}
	transport := regexp.MustCompile(`websocket|proxy`)
	allowed := dependencies(t, metricsFilters)
	for _, pkg := range dependencies(t, ".") {
		switch {
		case strings.HasPrefix(pkg, runner) && !slices.Contains(shared, pkg):
			t.Errorf("the operator links %s, which is a part of the runner", pkg)
		case transport.MatchString(pkg) && !slices.Contains(allowed, pkg):
			t.Errorf("the operator links %s", pkg)
		}
	}
}
