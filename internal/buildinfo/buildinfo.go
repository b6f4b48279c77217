// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package buildinfo says which version of the module a program was built from.
package buildinfo

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and revision are set by the linker (-X) if the build has no access to the Git
// repository, as in a container.
var version, revision string

// Version returns the version of the module and the Git revision, "(unknown)" for each that
// the build does not know.
func Version() (module, commit string) {
	module, commit = version, revision
	if info, ok := debug.ReadBuildInfo(); ok {
		module = cmp.Or(module, info.Main.Version)
		commit = cmp.Or(commit, vcsRevision(info.Settings))
	}
	const unknown = "(unknown)"
	return cmp.Or(module, unknown), cmp.Or(commit, unknown)
}

// Labels returns the labels of the metric build_info.
func Labels() map[string]string {
	module, commit := Version()
	return map[string]string{"version": module, "revision": commit, "goversion": runtime.Version()}
}

// Line returns the text that --version prints.
func Line(program string) string {
	module, commit := Version()
	return fmt.Sprintf("%s %s, revision %s, %s %s/%s", program, module, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// vcsRevision returns the revision that the go command has recorded, with the suffix -dirty if
// there were uncommitted changes.
func vcsRevision(settings []debug.BuildSetting) (commit string) {
	dirty := ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + dirty
}
