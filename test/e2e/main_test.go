// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e tests the project as users run it: installed on a real Kubernetes node, with kubectl,
// real brokers and a stream of numbered messages.
//
// Without -context it uses the local cluster of hack/cluster, which needs root on Linux. It starts
// the cluster if it does not run, and then also stops it. Run the tests with make test-e2e.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

// All tests share these variables: the cluster, with the operator installed.
var (
	shared        *cluster.Cluster
	release       *cluster.Release
	operatorImage string
	brokerImage   string
)

var choice cluster.Choice

func init() { choice.AddFlags(flag.CommandLine) }

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	ctx := context.Background()
	root, err := filepath.Abs("../..")
	if err != nil {
		return 1, err
	}
	if shared, err = choice.Open(ctx, root, os.Stderr); err != nil {
		return 1, err
	}
	if shared.Started {
		defer func() { err = errors.Join(err, shared.Down(ctx)) }()
	}
	if operatorImage, brokerImage, err = choice.Images(ctx, shared); err != nil {
		return 1, err
	}
	if release, err = shared.NewRelease(ctx); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, release.Uninstall(ctx)) }()
	if err := release.Install(ctx, operatorImage); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

const (
	// eventTimeout is longer than a pod needs to start and to react.
	eventTimeout = time.Minute
	// drainTimeout is longer than the rest of a stream needs to arrive.
	drainTimeout = time.Minute
)
