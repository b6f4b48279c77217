// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package main

import (
	"os/exec"
	"regexp"
	"testing"
)

// The test executes the command of the README on the local cluster.
func TestDemo_LocalCluster_ShowsTheFailoverAndRemovesEverything(t *testing.T) {
	cmd := exec.Command("make", "demo")
	cmd.Dir = "../.."
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make demo: %v\n%s", err, output)
	}
	for _, step := range []string{
		"Forwarding",
		"killing the primary, cloud-1",
		"messages arrive through cloud-2",
		"FailedOver",
		"messages arrive through cloud-1 again",
		"FailedBack",
		`lost +0 `,
		"cleaning up: removing the operator",
	} {
		at := regexp.MustCompile(step).FindIndex(output)
		if at == nil {
			t.Fatalf("the output has no %q after the steps before it:\n%s", step, output)
		}
		output = output[at[1]:]
	}
}
