// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster installs the project on a Kubernetes cluster as a user would: the operator by
// Helm or kustomize, and brokers as Deployments. It also connects to the brokers' pods. The demo
// and the end-to-end tests share it; it needs no test framework.
//
// The cluster is either a context of the user's kubeconfig, or the local cluster of hack/cluster.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a running Kubernetes cluster.
type Cluster struct {
	// Root is the project's checkout.
	Root string
	// Local is set if the cluster is the local cluster of hack/cluster, into which images can be
	// loaded.
	Local bool
	// Started is set if Up started the cluster.
	Started bool
	Config  *rest.Config
	Client  kubernetes.Interface

	// tool is the program of hack/cluster.
	tool    string
	kubectl string
	env     []string
	context string
	log     io.Writer
}

// Existing returns the cluster of a context of the user's kubeconfig.
func Existing(root, contextName string, log io.Writer) (*Cluster, error) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, fmt.Errorf("kubectl is missing: install it, and add its directory to PATH: %w", err)
	}
	c := &Cluster{Root: root, kubectl: kubectl, context: contextName, log: log}
	if err := c.connect(clientcmd.NewDefaultClientConfigLoadingRules()); err != nil {
		return nil, fmt.Errorf("%w; `kubectl config get-contexts` lists the contexts", err)
	}
	return c, nil
}

// Up starts the local cluster, or connects to it if it runs. The first start builds Kubernetes,
// which takes minutes. Up writes its progress to log.
func Up(ctx context.Context, root string, log io.Writer) (*Cluster, error) {
	c := &Cluster{Root: root, Local: true, log: log}
	var err error
	if c.tool, err = c.build(ctx, "cluster", "hack/cluster", "."); err != nil {
		return nil, err
	}
	path, err := c.ask(ctx, "kubeconfig")
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(path)
	c.Started = errors.Is(err, os.ErrNotExist)
	if err := c.clusterTool(ctx, log, "up"); err != nil {
		if c.Started {
			err = errors.Join(err, c.Down(context.WithoutCancel(ctx)))
		}
		return nil, fmt.Errorf("starting the local cluster: %w", err)
	}
	assets, err := c.ask(ctx, "assets")
	if err != nil {
		return nil, err
	}
	c.kubectl = filepath.Join(assets, "kubectl")
	c.env = []string{"KUBECONFIG=" + path}
	if err := c.connect(&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}); err != nil {
		return nil, err
	}
	return c, nil
}

// Down stops the local cluster.
func (c *Cluster) Down(ctx context.Context) error {
	return c.clusterTool(ctx, c.log, "down")
}

// Programs of the local cluster, for Freeze and Thaw.
const (
	Kubelet   = "kubelet"
	APIServer = "kube-apiserver"
)

// Freeze makes a program of the local cluster hang. Without its kubelet, the node is lost some 10 s
// later, and its pods continue to run. Requests to a frozen API server get no answer.
func (c *Cluster) Freeze(ctx context.Context, program string) error {
	return c.clusterTool(ctx, c.log, "freeze", program)
}

// Thaw reverts Freeze.
func (c *Cluster) Thaw(ctx context.Context, program string) error {
	return c.clusterTool(ctx, c.log, "thaw", program)
}

func (c *Cluster) connect(rules *clientcmd.ClientConfigLoadingRules) error {
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = -1, -1 // the client is for tools, which the client-side limit must not slow down
	c.Config = config
	c.Client, err = kubernetes.NewForConfig(config)
	return err
}

// ask returns the output of a command of hack/cluster.
func (c *Cluster) ask(ctx context.Context, command string) (string, error) {
	var out bytes.Buffer
	if err := c.clusterTool(ctx, &out, command); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}

// cleanUpTimeout is the time that a program may continue after an interrupt.
const cleanUpTimeout = time.Minute

// clusterTool runs a command of hack/cluster.
func (c *Cluster) clusterTool(ctx context.Context, out io.Writer, args ...string) error {
	return c.run(ctx, out, c.tool, args...)
}

// build builds a program of the module in a directory, and returns its path. Tests run it while they measure
// gaps: "go run" and "go tool" would take the processors from the bridges to check all packages each time.
func (c *Cluster) build(ctx context.Context, name, module, program string) (string, error) {
	path := filepath.Join(c.Root, "bin", name)
	return path, c.run(ctx, c.log, "go", "-C", filepath.Join(c.Root, module), "build", "-o", path, program)
}

func (c *Cluster) run(ctx context.Context, out io.Writer, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	// An interrupt is sent to the program and to the programs that it runs. They then clean up, and run
	// waits for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = cleanUpTimeout
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Dir = c.Root
	cmd.Stdout = out
	var stderr bytes.Buffer
	cmd.Stderr = io.MultiWriter(c.log, &stderr)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, lastLines(stderr.String()))
	}
	return nil
}

// lastLines returns the part of an output that an error contains.
func lastLines(text string) string {
	const limit = 5
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-limit):], "\n")
}

// Kubectl runs kubectl and returns its output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlWithInput(ctx, "", args...)
}

// KubectlWithInput runs kubectl with a standard input, such as a manifest for
// "apply -f -".
func (c *Cluster) KubectlWithInput(ctx context.Context, input string, args ...string) (string, error) {
	cmd := c.KubectlCommand(ctx, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out.String(), nil
}

// KubectlCommand returns a kubectl command, which the caller starts.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	if c.context != "" {
		args = append([]string{"--context", c.context}, args...)
	}
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	cmd.Env = append(os.Environ(), c.env...)
	return cmd
}
