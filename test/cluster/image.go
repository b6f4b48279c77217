// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Images of the local cluster. Their registry is localhost, so that no machine ever pulls them.
const (
	localOperatorImage = "localhost/mqttbridge/mqttbridge-operator"
	localOperatorTag   = "dev"
	localBrokerImage   = "localhost/mqttbridge/broker:dev"
)

// LoadOperatorImage builds the operator and the runner from the checkout, loads
// them into the local cluster as one image, and returns its name.
func (c *Cluster) LoadOperatorImage(ctx context.Context) (string, error) {
	return c.LoadOperatorImageAs(ctx, localOperatorTag)
}

// LoadOperatorRelease is like LoadOperatorImage, with a version as the tag and in both programs, as in
// the image of a release.
func (c *Cluster) LoadOperatorRelease(ctx context.Context, version string) (string, error) {
	return c.LoadOperatorImageAs(ctx, version, "-ldflags=-X github.com/mqttbridge/mqttbridge-operator/internal/buildinfo.version=v"+version)
}

// LoadOperatorImageAs is like LoadOperatorImage, with another tag, and with further flags of the compiler.
func (c *Cluster) LoadOperatorImageAs(ctx context.Context, tag string, flags ...string) (string, error) {
	name := localOperatorImage + ":" + tag
	return name, c.makeOperatorImage(ctx, c.log, name, "--load", flags...)
}

// ServeOperatorImage is like LoadOperatorImage, but does not load the image: it serves it from a registry on this
// machine, from which the node of the local cluster can pull it until stop is called.
func (c *Cluster) ServeOperatorImage(ctx context.Context) (name string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	read, write := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = write.CloseWithError(c.makeOperatorImage(ctx, write, "127.0.0.1:0/mqttbridge/mqttbridge-operator:"+localOperatorTag, "--serve"))
	}()
	stop = func() {
		cancel()
		<-ended
	}
	served, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("serving the operator's image: %w", err)
	}
	return strings.TrimSpace(served), stop, nil
}

// makeOperatorImage builds the operator and the runner with flags of the compiler, and makes an image of them. to is
// the flag of hack/cluster that names its destination.
func (c *Cluster) makeOperatorImage(ctx context.Context, out io.Writer, name, to string, flags ...string) error {
	dir, err := os.MkdirTemp("", "mqttbridge-image")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	image := []string{"image", to, "--name", name, "--entrypoint", "/manager"}
	for _, binary := range []struct{ source, target string }{{".", "/manager"}, {"./bridge-runner", "/bridge-runner"}} {
		path := filepath.Join(dir, filepath.Base(binary.target))
		build := slices.Concat([]string{"CGO_ENABLED=0", "go", "build", "-trimpath", "-o", path}, flags, []string{binary.source})
		if err := c.run(ctx, c.log, "env", build...); err != nil {
			return err
		}
		image = append(image, "--binary", path+"="+binary.target)
	}
	return c.clusterTool(ctx, out, image...)
}

// openBroker is the configuration of a broker that every client may use, as in the published image of Mosquitto.
const openBroker = "listener 1883\nallow_anonymous true\n"

// LoadBrokerImage loads this machine's Mosquitto, with its clients, into the local cluster and
// returns the image's name.
func (c *Cluster) LoadBrokerImage(ctx context.Context) (string, error) {
	return localBrokerImage, c.LoadBrokerImageAs(ctx, localBrokerImage)
}

// LoadBrokerImageAs is like LoadBrokerImage, with another name.
func (c *Cluster) LoadBrokerImageAs(ctx context.Context, name string) error {
	dir, err := os.MkdirTemp("", "mqttbridge-broker")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	open := filepath.Join(dir, "open.conf")
	if err := os.WriteFile(open, []byte(openBroker), 0o600); err != nil {
		return err
	}
	return c.clusterTool(ctx, c.log, "image", "--load",
		"--name", name, "--entrypoint", brokerProgram, "--file", open+"=/mosquitto-no-auth.conf",
		"--debian-binary", brokerProgram, "--debian-binary", "/usr/bin/mosquitto_pub", "--debian-binary", "/usr/bin/mosquitto_sub")
}
