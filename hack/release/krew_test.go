// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKrew_Checksums_BecomePlatforms(t *testing.T) {
	file := filepath.Join(t.TempDir(), "checksums.txt")
	sum := func(digit string) string { return strings.Repeat(digit, 64) }
	checksums := sum("a") + "  kubectl-mqttbridge_1.2.3_linux_armv7.tar.gz\n" + sum("b") + "  kubectl-mqttbridge_1.2.3_windows_amd64.zip\n" +
		sum("c") + "  kubectl-mqttbridge_1.2.30_linux_amd64.tar.gz\n" + sum("d") + "  bridge-runner_1.2.3_linux_amd64.tar.gz\n"
	if err := os.WriteFile(file, []byte(checksums), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := krew("1.2.3", file, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"arch: arm\n", "/v1.2.3/kubectl-mqttbridge_1.2.3_linux_armv7.tar.gz\n    sha256: " + sum("a"), "bin: kubectl-mqttbridge.exe\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the manifest lacks %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), sum("c")) || strings.Contains(out.String(), sum("d")) {
		t.Errorf("the manifest has other files:\n%s", &out)
	}
	if err := krew("1.2.4", file, &out); err == nil || !strings.Contains(err.Error(), "no archive of kubectl-mqttbridge 1.2.4") {
		t.Errorf("no archives: got %v", err)
	}
}
