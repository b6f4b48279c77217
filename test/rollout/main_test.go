// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollout tests upgrades and deaths of the operator: it starts one operator after the
// other, with a fleet of bridges on a real API server. The tests take the role of the Deployment
// controller, the kubelet and the runners.
package rollout

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mqttbridge/mqttbridge-operator/controllers"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The default images of the runners, of several versions of the operator.
const (
	imageV1  = "registry.example/mqttbridge-operator:v1"
	imageV2  = "registry.example/mqttbridge-operator:v2"
	imageBad = "registry.example/mqttbridge-operator:does-not-exist"
)

// server is the API server of all tests. It is nil if none can run.
var server *apiserver.Server

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(apiserver.Run(m, func(_ context.Context, s *apiserver.Server) error {
		server = s
		return nil
	}))
}

// startOperator starts an operator with a default image of the runners, and with the settings
// that the options change. stop ends it and waits until it has ended.
func startOperator(t *testing.T, image string, options ...func(*controllers.Reconciler)) (stop func()) {
	t.Helper()
	return startOperatorWith(t, server.Admin, image, options...)
}

// startOperatorWith starts an operator that connects to the API server as configured.
func startOperatorWith(t *testing.T, connection *rest.Config, image string, options ...func(*controllers.Reconciler)) (stop func()) {
	t.Helper()
	mgr, err := ctrl.NewManager(connection, ctrl.Options{
		Scheme:  apiserver.Scheme(),
		Cache:   controllers.CacheOptions(nil),
		Metrics: metricsserver.Options{BindAddress: "0"},
		// Each operator is a process of its own, except in this test.
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	reconciler := &controllers.Reconciler{
		Client:         mgr.GetClient(),
		APIReader:      mgr.GetAPIReader(),
		Recorder:       mgr.GetEventRecorder(controllers.FieldOwner),
		RunnerImage:    image,
		MaxUnavailable: controllers.DefaultMaxUnavailable,
		Now:            time.Now,
	}
	for _, option := range options {
		option(reconciler)
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the operator ended: %v", err)
		}
	}
	t.Cleanup(cancel)
	return stop
}

// awaitStates waits until the metric of the operator shows the numbers of bridges that wait for
// the roll-out and that recover from it.
func (c *cluster) awaitStates(waiting, recovering int) {
	c.t.Helper()
	c.awaitAllStates(waiting, 0, recovering)
}

// awaitAllStates also waits for the number of bridges outside their update windows.
func (c *cluster) awaitAllStates(waiting, scheduled, recovering int) {
	c.t.Helper()
	want := map[string]int{"waiting": waiting, "scheduled": scheduled, "recovering": recovering}
	var got map[string]int
	apiserver.Eventually(c.t, fmt.Sprintf("the bridges in the roll-out are %v", want), func(context.Context) (bool, error) {
		got = map[string]int{}
		for _, m := range samples(c.t, "mqttbridge_operator_rollout_bridges") {
			got[m.GetLabel()[0].GetValue()] = int(m.GetGauge().GetValue())
		}
		return fmt.Sprint(got) == fmt.Sprint(want), nil
	})
}

// passes returns the number of passes that all operators of this process have ended so far.
func passes(t *testing.T) (n int) {
	t.Helper()
	for _, m := range samples(t, "controller_runtime_reconcile_total") {
		n += int(m.GetCounter().GetValue())
	}
	return n
}

// samples returns the samples of a metric of the operators.
func samples(t *testing.T, name string) (out []*dto.Metric) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			out = append(out, family.GetMetric()...)
		}
	}
	return out
}
