// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// A runner of a later version must find the backlog of an earlier one.
func TestBufferDirectory_OfEachDirection_IsTheNameOnExistingVolumes(t *testing.T) {
	for direction, want := range map[string]string{report.LocalToRemote: "localToRemote", report.RemoteToLocal: "remoteToLocal"} {
		if got := bufferDirectory(direction); got != want {
			t.Errorf("the directory of %s is %q, not %q", direction, got, want)
		}
	}
}
