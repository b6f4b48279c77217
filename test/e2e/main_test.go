// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e tests the project as a user has it: installed on a real Kubernetes
// node, with kubectl, real brokers and a stream of numbered messages.
//
// It needs root on Linux, since it uses the local cluster of hack/cluster, which
// it starts where it does not run and stops again in that case. Run it by
// make test-e2e.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

// What all tests share: the cluster with the operator installed.
var (
	shared        *cluster.Cluster
	release       *cluster.Release
	operatorImage string
	brokerImage   string
)

func TestMain(m *testing.M) {
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
	if shared, err = cluster.Up(ctx, root, os.Stderr); err != nil {
		return 1, err
	}
	if shared.Started {
		defer func() { err = errors.Join(err, shared.Down(ctx)) }()
	}
	if operatorImage, err = shared.LoadOperatorImage(ctx); err != nil {
		return 1, err
	}
	if brokerImage, err = shared.LoadBrokerImage(ctx); err != nil {
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
	// soon is enough for a pod to start and for what follows from it.
	soon = time.Minute
	// wholly is enough for a stream's rest to arrive.
	wholly = time.Minute
)
