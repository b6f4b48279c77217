// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// RunnerEnv is the environment variable with the path of a runner binary to test instead of the one
// built from the checkout. For example, the binary may contain a deliberate fault that a test must
// find.
const RunnerEnv = "MQTTBRIDGE_RUNNER"

const runnerPackage = "github.com/mqttbridge/mqttbridge-operator/bridge-runner"

// program is a program that a test process builds once.
type program struct {
	race bool // with the race detector
	once sync.Once
	dir  string
	path string
	err  error
}

var (
	plainRunner program
	raceRunner  = program{race: true}
)

// RunnerBinary builds the runner once in a test process, and returns its path.
func RunnerBinary(t testing.TB) string {
	t.Helper()
	return plainRunner.get(t)
}

// RaceRunnerBinary returns the path of a runner with the race detector, built once in a test
// process.
func RaceRunnerBinary(t testing.TB) string {
	t.Helper()
	return raceRunner.get(t)
}

// RemoveRunnerBinary removes the built binaries. Call it in TestMain, after the tests.
func RemoveRunnerBinary() {
	for _, b := range []*program{&plainRunner, &raceRunner} {
		_ = os.RemoveAll(b.dir)
	}
}

func (b *program) get(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(RunnerEnv); path != "" {
		return path
	}
	b.once.Do(b.build)
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

func (b *program) build() {
	args, env := []string{"build"}, os.Environ()
	if b.race {
		if b.err = findCompiler(); b.err != nil {
			return
		}
		args, env = append(args, "-race"), append(env, "CGO_ENABLED=1")
	}
	if b.dir, b.err = os.MkdirTemp("", "bridge-runner"); b.err != nil {
		return
	}
	b.path = filepath.Join(b.dir, "bridge-runner")
	cmd := exec.Command("go", append(args, "-o", b.path, runnerPackage)...)
	cmd.Env = env
	// The tests of another module, such as test/page, build the runner with the dependencies of its own module.
	_, file, _, _ := runtime.Caller(0)
	cmd.Dir = filepath.Dir(file)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.err = fmt.Errorf("building the runner: %w\n%s", err, out)
	}
}

// findCompiler returns an error that names the packages to install if cgo, which the race detector
// needs, has no compiler or no header files.
func findCompiler() error {
	out, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return fmt.Errorf("go env CC: %w", err)
	}
	const remedy = "the race detector needs a C compiler and the C library's header files: install gcc and libc6-dev (Debian: go -C hack/cluster run . packages)"
	words := strings.Fields(string(out))
	if len(words) == 0 {
		return fmt.Errorf("go env CC names no compiler; %s", remedy)
	}
	cmd := exec.Command(words[0], append(words[1:], "-E", "-x", "c", "-")...)
	cmd.Stdin = strings.NewReader("#include <stdlib.h>\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w; %s\n%s", words[0], err, remedy, out)
	}
	return nil
}
