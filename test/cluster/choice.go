// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// Choice says which cluster to use, and with which images.
type Choice struct {
	// Context is a context of the user's kubeconfig. If it is empty, the local cluster is used.
	Context string
	// OperatorImage and BrokerImage are the images for Context. The images of the local cluster
	// are built from the checkout.
	OperatorImage, BrokerImage string
}

// AddFlags adds a flag for each field. The environment variable CONTEXT is the default of Context.
func (c *Choice) AddFlags(flags *flag.FlagSet) {
	flags.StringVar(&c.Context, "context", os.Getenv("CONTEXT"), "use this `context` of your kubeconfig instead of the local cluster")
	flags.StringVar(&c.OperatorImage, "operator-image", "", "the operator's `image`, required with -context: build it with the Dockerfile and push it to a registry from which that cluster pulls without a Secret")
	flags.StringVar(&c.BrokerImage, "broker-image", "docker.io/library/eclipse-mosquitto:2.0.22", "the brokers' `image` with -context: a Mosquitto 2")
}

// Open connects to the chosen cluster. It starts the local cluster if that does not run.
func (c *Choice) Open(ctx context.Context, root string, log io.Writer) (*Cluster, error) {
	switch {
	case c.Context == "":
		return Up(ctx, root, log)
	case c.OperatorImage == "":
		return nil, errors.New("-context needs -operator-image: build the operator's image with the Dockerfile, push it to a registry from which the cluster pulls, and name it")
	}
	if _, _, err := splitImage(c.OperatorImage); err != nil {
		return nil, fmt.Errorf("-operator-image: %w", err)
	}
	return Existing(root, c.Context, log)
}

// splitImage splits an image into its repository, and its tag or digest.
func splitImage(image string) (repository, tag string, err error) {
	i := strings.LastIndexByte(image, ':')
	if i < strings.LastIndexByte(image, '/') || i < 1 || i == len(image)-1 {
		return "", "", fmt.Errorf("image %q has no tag; append one, for example :dev", image)
	}
	return image[:i], image[i+1:], nil
}

// Images returns the images for the cluster. For the local cluster it builds and loads them.
func (c *Choice) Images(ctx context.Context, on *Cluster) (operator, broker string, err error) {
	if !on.Local {
		return c.OperatorImage, c.BrokerImage, nil
	}
	if operator, err = on.LoadOperatorImage(ctx); err != nil {
		return "", "", err
	}
	broker, err = on.LoadBrokerImage(ctx)
	return operator, broker, err
}
