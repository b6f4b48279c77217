// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Without the network, the error names the command, its output, and what to check.
func TestInstallAedes_NpmFails_ErrorNamesTheRemedy(t *testing.T) {
	npm := filepath.Join(t.TempDir(), "npm")
	const script = "#!/bin/sh\necho 'getaddrinfo ENOTFOUND'\nexit 1\n"
	if err := os.WriteFile(npm, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MQTTBRIDGE_CACHE", t.TempDir())
	_, err := installAedes(npm)
	for _, text := range []string{"npm ci of Aedes", "getaddrinfo ENOTFOUND", "npm config get registry"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the error has no %q: %v", text, err)
		}
	}
}
