// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager is the operator: it runs the MQTTBridge controller, one active
// replica at a time, and serves metrics behind authentication and health probes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/controllers"
)

// leaderElectionID names the Lease of the operator's replicas.
const leaderElectionID = "operator.mqttbridge.io"

// settings are what the flags say.
type settings struct {
	runnerImage     string
	watchNamespaces []string
	leaderElect     bool
	// leaderElectionNamespace holds the Lease; empty stands for the operator's own.
	leaderElectionNamespace string

	metricsAddress string
	probeAddress   string
	zap            zap.Options
}

func main() {
	s := parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&s.zap)))
	if err := run(s); err != nil {
		ctrl.Log.Error(err, "the operator has stopped")
		os.Exit(1)
	}
}

func parse() *settings {
	s := &settings{}
	flag.StringVar(&s.runnerImage, "runner-image", "",
		"The image of bridge-runner pods whose bridge names none in spec.runner.image. Required.")
	flag.Func("watch-namespaces", "Comma-separated namespaces to watch. Default: all.", func(value string) error {
		s.watchNamespaces = namespaces(value)
		return nil
	})
	flag.BoolVar(&s.leaderElect, "leader-elect", false,
		"Elect a leader, so that of several replicas one is active at a time.")
	flag.StringVar(&s.leaderElectionNamespace, "leader-election-namespace", "",
		"The namespace of the Lease. Default: the operator's own. Needed where it runs outside a cluster.")
	flag.StringVar(&s.metricsAddress, "metrics-bind-address", ":8443",
		"The address of the metrics, served over HTTPS to those who may get /metrics; 0 turns them off.")
	flag.StringVar(&s.probeAddress, "health-probe-bind-address", ":8081",
		"The address of /healthz and /readyz.")
	s.zap.BindFlags(flag.CommandLine)
	flag.Parse()
	return s
}

// namespaces splits a comma-separated list.
func namespaces(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}

// run runs the operator until it is told to stop or loses the leadership.
func run(s *settings) error {
	if s.runnerImage == "" {
		return errors.New("--runner-image is required: the image of bridge-runner pods")
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	mgr, err := newManager(config, s)
	if err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}

func newManager(config *rest.Config, s *settings) (ctrl.Manager, error) {
	// When a server that many bridges share is lost, all of them are to show it
	// within a second. The API server's priority and fairness shares it out; a limit
	// in the client, 20 requests a second, would only queue the reports.
	config.QPS = -1

	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  controllers.CacheOptions(s.watchNamespaces),
		// The servers of the manager bound neither their connections nor their answers:
		// addServers has others.
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		LeaderElection:          s.leaderElect,
		LeaderElectionID:        leaderElectionID,
		LeaderElectionNamespace: s.leaderElectionNamespace,
		// The process ends when the manager does, so the next leader need not wait
		// for the Lease to run out.
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	if err := addServers(mgr, s); err != nil {
		return nil, err
	}
	reconciler := &controllers.Reconciler{
		Client:      mgr.GetClient(),
		APIReader:   mgr.GetAPIReader(),
		Recorder:    mgr.GetEventRecorder(controllers.FieldOwner),
		RunnerImage: s.runnerImage,
		Now:         time.Now,
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	return mgr, nil
}
