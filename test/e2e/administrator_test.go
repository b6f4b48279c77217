// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

// administrator runs commands of docs/installation.md, in the project's directory.
type administrator struct {
	t   *testing.T
	env []string
}

// newAdministrator removes the installation that all tests share, and installs it again at the end of the test.
func newAdministrator(t *testing.T) *administrator {
	t.Helper()
	a := &administrator{t: t}
	must(t, release.Uninstall(t.Context()))
	t.Cleanup(func() {
		must(t, release.Uninstall(context.Background()))
		_, err := shared.Kubectl(context.Background(), "delete", "crd", "mqttbridges.mqttbridge.io", "--ignore-not-found")
		must(t, err)
		must(t, release.Install(context.Background(), operatorImage))
	})
	a.env = guideEnv(t, t.TempDir(), metav1.NamespaceDefault)
	a.env = append(a.env, "PATH="+filepath.Join(shared.Root, "bin")+string(os.PathListSeparator)+pathOf(a.env))
	return a
}

// pathOf returns the last PATH of an environment, which has precedence.
func pathOf(env []string) (path string) {
	for _, e := range env {
		if value, found := strings.CutPrefix(e, "PATH="); found {
			path = value
		}
	}
	return path
}

// documented returns the only command of docs/installation.md that starts with the words.
func (a *administrator) documented(words string) string {
	a.t.Helper()
	page, err := os.ReadFile(filepath.Join(shared.Root, "docs", "installation.md"))
	must(a.t, err)
	var found []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, words+" ") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	if len(found) != 1 {
		a.t.Fatalf("docs/installation.md has the commands %q that start with %q, want one", found, words)
	}
	return found[0]
}

// command runs also in cleanups.
func (a *administrator) command(line string) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(a.t.Context()), "bash", "-o", "pipefail", "-c", line)
	cmd.Dir, cmd.Env = shared.Root, a.env
	return cmd
}

func (a *administrator) run(line string) string {
	a.t.Helper()
	a.t.Log(line)
	out, err := a.command(line).CombinedOutput()
	if err != nil {
		a.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// refused runs a command that must fail with a message.
func (a *administrator) refused(line, message string) {
	a.t.Helper()
	a.t.Log(line)
	if out, err := a.command(line).CombinedOutput(); err == nil || !strings.Contains(string(out), message) {
		a.t.Fatalf("%s: want a refusal with %q, got %v\n%s", line, message, err, out)
	}
}

// interrupt starts an upgrade and kills Helm while it waits for the operator.
func (a *administrator) interrupt(line string) {
	a.t.Helper()
	a.t.Log("killed: " + line)
	cmd := a.command("exec " + line)
	must(a.t, cmd.Start())
	(&world{t: a.t}).eventually(eventTimeout, func() error {
		pods, err := shared.Kubectl(a.t.Context(), "get", "pods", "-n", cluster.OperatorNamespace, "-o", "jsonpath={.items[*].spec.containers[*].image}")
		if err == nil && !strings.Contains(pods, ":missing") {
			return os.ErrNotExist
		}
		return err
	})
	must(a.t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
}

// assertRemains checks the objects of the operator that exist: its labelled objects, and the Leases in its namespace.
func (a *administrator) assertRemains(want ...string) {
	a.t.Helper()
	got := a.run("kubectl get crd,clusterroles,clusterrolebindings --selector=" + release.Selector() + " -o name && " +
		"kubectl get deployments,pods,services,serviceaccounts,configmaps,secrets,roles,rolebindings,poddisruptionbudgets --namespace=" + cluster.OperatorNamespace + " --selector=" + release.Selector() + " -o name && " +
		"kubectl get secrets,leases --namespace=" + cluster.OperatorNamespace + " -o name")
	if fields := strings.Fields(got); !slices.Equal(fields, want) {
		a.t.Errorf("the objects %q remain, want %q", fields, want)
	}
}
