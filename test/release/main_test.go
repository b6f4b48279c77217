// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package release builds a snapshot of a release with goreleaser, as `make snapshot` does, for some platforms
// or with -all for all, and checks all its files. In place of Docker, which needs an engine, it puts a program into PATH that carries out the
// Dockerfile of the release (docker_test.go).
package release

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "docker" {
		if err := runDocker(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "docker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	temporary = dir
	code := apiserver.Run(m, func(_ context.Context, s *apiserver.Server) error {
		server = s
		return nil
	})
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// temporary is a directory that exists during the tests.
var temporary string

// An artifact is an entry of dist/artifacts.json.
type artifact struct {
	Name, Path, Type, Goos, Goarch, Goarm string
	Extra                                 struct{ Binary, ID string }
}

// file returns the path of the artifact.
func (a *artifact) file() string { return filepath.Join(apiserver.Root(), a.Path) }

// A snapshot is the result of `make snapshot`.
type snapshot struct {
	Version, Commit, Date string // metadata.json
	artifacts             []artifact
	images                string // the directory of the images, by platform
}

// buildSnapshot builds the snapshot once for all tests.
var buildSnapshot = sync.OnceValues(func() (*snapshot, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &snapshot{images: filepath.Join(temporary, "images")}
	bin := filepath.Join(temporary, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return nil, err
	}
	if err := os.Symlink(self, filepath.Join(bin, "docker")); err != nil {
		return nil, err
	}
	cmd := exec.Command("make", "snapshot")
	if !*all {
		path, err := writeSomeTargets(temporary)
		if err != nil {
			return nil, err
		}
		cmd.Args = append(cmd.Args, "CONFIG="+path)
	}
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = apiserver.Root(), &out, &out
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), imagesVariable+"="+s.images)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("make snapshot: %w\n%s", err, &out)
	}
	for name, to := range map[string]any{"metadata.json": s, "artifacts.json": &s.artifacts} {
		data, err := os.ReadFile(filepath.Join(apiserver.Root(), "dist", name))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, to); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return s, nil
})

func built(t *testing.T) *snapshot {
	t.Helper()
	s, err := buildSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// extraFiles is the directory of the files that goreleaser does not build.
func extraFiles() string { return filepath.Join(apiserver.Root(), "bin", "release", "files") }

// run runs a shell command in the project's directory, and returns its output.
func run(t *testing.T, command string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", command)
	cmd.Dir = apiserver.Root()
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// pinned returns the command that runs a tool of hack/tools.
func pinned(name string) string {
	return "go tool -modfile=hack/tools/" + name + "/go.mod " + name
}
