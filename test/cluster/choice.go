// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
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
	flags.StringVar(&c.OperatorImage, "operator-image", "", "the operator's `image`, required with -context: build it with the Dockerfile and push it to a registry from which that cluster pulls")
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
	return Existing(root, c.Context, log)
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
