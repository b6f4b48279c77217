// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buildinfo

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVCSRevision_OfSettings_IsTheRevisionAndWhetherItIsModified(t *testing.T) {
	const commit = "3bae25f1"
	for name, tt := range map[string]struct {
		settings []debug.BuildSetting
		want     string
	}{
		"none":     {nil, ""},
		"clean":    {[]debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: "false"}}, commit},
		"modified": {[]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: commit}}, commit + "-dirty"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := vcsRevision(tt.settings); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Both programs print the version that the linker sets, as in the Dockerfile.
func TestVersion_SetByTheLinker_IsPrintedByBothPrograms(t *testing.T) {
	const pkg = "github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
	for program, path := range map[string]string{"manager": "../..", "bridge-runner": "../../bridge-runner"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			binary := filepath.Join(t.TempDir(), program)
			build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X "+pkg+".version=v1.2.3 -X "+pkg+".revision=abc", "-o", binary, path)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), binary, "--version").Output()
			want := program + " v1.2.3, revision abc, " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
			if err != nil || string(out) != want {
				t.Errorf("got %q and %v, want %q", out, err, want)
			}
		})
	}
}
