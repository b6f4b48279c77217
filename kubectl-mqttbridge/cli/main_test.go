// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// The tests of this package run the plugin against a real API server, with real runners and brokers.
// They take the role of the operator and of the kubelet.
package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var (
	server *apiserver.Server
	// kubeconfig is a file of a user with all rights.
	kubeconfig string
	// bin is a directory with the plugin and its script for completion.
	bin string
)

func TestMain(m *testing.M) {
	code := apiserver.Run(m, func(ctx context.Context, s *apiserver.Server) error {
		server = s
		dir, err := os.MkdirTemp("", "kubectl-mqttbridge")
		if err != nil {
			return err
		}
		bin = dir
		if err := build(ctx); err != nil || s == nil {
			return err
		}
		kubeconfig = filepath.Join(dir, "kubeconfig")
		return os.WriteFile(kubeconfig, s.Kubeconfig(), 0o600)
	})
	_ = os.RemoveAll(bin)
	os.Exit(code)
}

// build builds the runner and the plugin.
func build(ctx context.Context) error {
	runner := filepath.Join(bin, "bridge-runner")
	for _, args := range [][]string{
		{"-C", "../..", "build", "-o", runner, "./bridge-runner"},
		{"-C", "..", "build", "-o", filepath.Join(bin, "kubectl-mqttbridge"), "."},
	} {
		if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", args, err, out)
		}
	}
	script, err := os.ReadFile("../kubectl_complete-mqttbridge")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bin, "kubectl_complete-mqttbridge"), script, 0o700); err != nil {
		return err
	}
	return os.Setenv(mqtttest.RunnerEnv, runner)
}

// result is the result of a command.
type result struct {
	status   int
	out, err string
}

// plugin runs a command of the plugin as a user with all rights.
func plugin(t *testing.T, args ...string) result {
	t.Helper()
	return pluginWith(t, t.Context(), "", args...)
}

// pluginWith runs a command of the plugin until it or the context ends, with a text as the standard
// input.
func pluginWith(t *testing.T, ctx context.Context, in string, args ...string) result { //nolint:revive // t is the first argument of all helpers
	t.Helper()
	apiserver.Need(t, server)
	var out, errOut bytes.Buffer
	p := &program{
		IOStreams:   genericiooptions.IOStreams{In: strings.NewReader(in), Out: &out, ErrOut: &errOut},
		flags:       newFlags(),
		openBrowser: func(string) error { return nil },
	}
	status := p.run(ctx, append([]string{"--kubeconfig", kubeconfig}, args...))
	return result{status, out.String(), errOut.String()}
}

// want checks the exit status, and that the output has texts.
func (r result) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	all := r.out + r.err
	if r.status != status {
		t.Errorf("exit status %d, want %d:\n%s", r.status, status, all)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("the output lacks %q:\n%s", text, all)
		}
	}
}
