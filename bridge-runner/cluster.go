// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/configmap"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// useCluster reports the state to the API server, and watches the ConfigMap with the manifest
// there. laterTerm has the meaning of [report.Kubernetes.LaterTerm]. The caller calls finish when the bridge
// has drained.
func useCluster(ctx context.Context, bridge *config.Manifest, state *report.State, laterTerm func(int64), updates *config.Updates, log *slog.Logger) (finish func(), err error) {
	cluster, err := clusterConfig()
	if err != nil {
		return nil, err
	}
	k, err := report.NewKubernetes(cluster, bridge.MQTTBridge, log)
	if err != nil {
		return nil, err
	}
	k.LaterTerm = laterTerm
	manifests, err := configmap.New(cluster, bridge.Namespace, v1alpha1.ChildName(bridge.Name), v1alpha1.ManifestKey, log)
	if err != nil {
		return nil, err
	}
	go manifests.Run(ctx, updates.ConfigMap)
	return startReports(ctx, k, state), nil
}

// inCluster returns the configuration of the API server's client. Tests replace it.
var inCluster = rest.InClusterConfig

// clusterConfig returns the configuration of the API server's client.
func clusterConfig() (*rest.Config, error) {
	cluster, err := inCluster()
	if err != nil {
		return nil, fmt.Errorf("--kubernetes is set, but the process does not run in a pod of a cluster; remove the flag or run it in a pod: %w", err)
	}
	return cluster, nil
}

// startReports starts the reports to Kubernetes. They continue until the bridge has drained,
// when the caller calls the returned function. It reports that the runner has stopped, so
// that the status does not show connections that no longer exist.
func startReports(ctx context.Context, k *report.Kubernetes, state *report.State) (finish func()) {
	reporting, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.Run(reporting, state)
	}()
	return func() { //nolint:contextcheck // ctx has ended when it is called
		stop()
		<-done
		state.Stopped()
		k.Last(state)
	}
}
