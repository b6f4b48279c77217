// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// podsPerNode is the number of pods that a node of kwok gets.
const podsPerNode = 1000

// nodeOf returns the name of the node on which the pod of bridge i runs.
func nodeOf(i int) string { return fmt.Sprintf("node-%d", i/podsPerNode) }

// startKwok starts kwok, which plays the nodes and their kubelets: it makes nodes and pods ready,
// and ends pods that are deleted. There are enough nodes for the bridges and one more. Its log is a
// file in dir.
func (c *cluster) startKwok(ctx context.Context, dir string, bridges int) (*process, error) {
	program, err := goCommand(ctx, "tool", "-n", "kwok")
	if err != nil {
		return nil, err
	}
	module, err := goCommand(ctx, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok")
	if err != nil {
		return nil, err
	}
	for i := 0; i <= bridges; i += podsPerNode {
		if err := c.client.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeOf(i)}}); err != nil {
			return nil, err
		}
	}
	// The user differs from the operator's user, so that the audit log does not contain these requests.
	kubeconfig, err := c.addUser("kwok", "system:masters", filepath.Join(dir, "kwok-kubeconfig"))
	if err != nil {
		return nil, err
	}
	args := []string{"--manage-all-nodes", "--cidr=10.0.0.0/8", "--node-ip=192.0.2.1", "--node-lease-duration-seconds=40"}
	for _, stage := range []string{"node/fast", "node/heartbeat-with-lease", "pod/fast"} {
		args = append(args, "--config="+filepath.Join(module, "kustomize", "stage", stage))
	}
	p, err := startProcess(filepath.Join(dir, "kwok.log"), kubeconfig, program, args...)
	if err != nil {
		return nil, fmt.Errorf("starting kwok: %w", err)
	}
	return p, nil
}

// goCommand runs the go command in the module that pins kwok, and returns its output. The command
// builds kwok if Go's build cache does not have it. The module has the operator's versions of
// k8s.io modules, so that a fresh machine compiles them once: this saves 7 minutes.
func goCommand(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(apiserver.Root(), "hack", "tools", "kwok")
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("go %s in hack/tools/kwok: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
