// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// errStopping is why a process that stops is not ready.
var errStopping = errors.New("stopping")

// runBridge runs the bridge of --bridge until the context ends, and then drains it; or until the
// bridge is deleted. Then the process ends; but in a pod, the kubelet would start it again, so it
// waits until the context ends.
func runBridge(ctx context.Context, opts options) error {
	m, err := config.Load(opts.bridge)
	if err != nil {
		return err
	}
	i, err := newInstance(m, setup{
		secrets: config.NewSecrets(opts.secrets), data: opts.data,
		delayReads: opts.delayReads, kubernetes: opts.kubernetes, metrics: report.NewMetrics(),
	})
	if err != nil {
		return err
	}
	defer report.FlushAsync(i.log, logTimeout)
	stopServers, err := serve(opts, endpointsOf(ctx, i), i.log)
	if err != nil {
		return err
	}
	defer stopServers()

	updates := config.NewUpdates(m, os.Getenv(manifest.EnvTemplateHash), i.log, i)
	if opts.kubernetes {
		finish, err := useCluster(ctx, m, i.state, updates, i.log)
		if err != nil {
			return err
		}
		defer finish()
	}
	go config.Watch(ctx, opts.bridge, updates.File)
	logStart(i.log, "bridge", m.Name, "namespace", m.Namespace, "listen", opts.listen)
	deleted, err := i.run(ctx)
	if deleted && opts.kubernetes {
		<-ctx.Done()
	}
	return err
}

// endpointsOf returns the endpoints of a process that runs one bridge until the context ends.
func endpointsOf(ctx context.Context, i *instance) *report.Endpoints {
	registry := report.NewRegistry()
	registry.Add(i.metrics)
	return &report.Endpoints{
		Metrics: registry,
		Status:  func() any { return i.state.Status() },
		Alive:   i.checkAlive,
		Ready: func() error {
			if ctx.Err() != nil {
				return errStopping
			}
			return nil
		},
	}
}
