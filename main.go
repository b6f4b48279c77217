// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager is the operator. It runs the MQTTBridge controller, with one active
// replica at a time, and serves health probes, and metrics to authenticated clients.
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
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
)

// leaderElectionID is the name of the Lease that the operator's replicas compete for.
const leaderElectionID = "operator.mqttbridge.io"

// settings are the values of the flags.
type settings struct {
	runnerImage     string
	watchNamespaces []string // all if empty
	leaderElect     bool
	// leaderElectionNamespace is the namespace of the Lease. If it is empty, the Lease is
	// in the operator's own namespace.
	leaderElectionNamespace string

	// memoryLimit is the memory limit of the container in bytes, 0 if there is none.
	memoryLimit int64

	metricsAddress string
	probeAddress   string
	version        bool
	zap            zap.Options
}

func main() {
	s := parseFlags()
	if s.version {
		fmt.Println(buildinfo.Line("manager"))
		return
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&s.zap)))
	if err := run(s); err != nil {
		ctrl.Log.Error(err, "the operator has stopped")
		os.Exit(1)
	}
}

func parseFlags() *settings {
	s := &settings{}
	flag.StringVar(&s.runnerImage, "runner-image", "",
		"Image of the bridge-runner pods of all bridges that do not set spec.runner.image. Required.")
	flag.Func("watch-namespaces", "Comma-separated list of namespaces to watch. Default: all namespaces.", func(value string) error {
		s.watchNamespaces = namespaces(value)
		return nil
	})
	flag.BoolVar(&s.leaderElect, "leader-elect", false,
		"Elect a leader, so that only one of several replicas is active at a time.")
	flag.StringVar(&s.leaderElectionNamespace, "leader-election-namespace", "",
		"Namespace of the Lease for leader election. Default: the operator's own namespace. Required if the operator runs outside a cluster.")
	flag.StringVar(&s.metricsAddress, "metrics-bind-address", ":8443",
		"Address that serves metrics over HTTPS, to clients whose RBAC rules permit them to get /metrics. 0 disables the metrics.")
	flag.StringVar(&s.probeAddress, "health-probe-bind-address", ":8081",
		"Address that serves the health probes /healthz and /readyz. 0 disables them.")
	flag.Int64Var(&s.memoryLimit, "memory-limit", 0,
		"Memory limit of the container in bytes. The operator frees memory earlier to stay below 90 % of it. Default: no limit.")
	flag.BoolVar(&s.version, "version", false, "Print the version and exit.")
	s.zap.BindFlags(flag.CommandLine)
	flag.Parse()
	return s
}

// namespaces splits a comma-separated list. Spaces also separate.
func namespaces(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}

// run runs the operator until it receives a signal to stop or loses the leadership.
func run(s *settings) error {
	if s.runnerImage == "" {
		return errors.New("--runner-image is required; set it to the image of bridge-runner pods")
	}
	limitMemory(s.memoryLimit)
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	mgr, err := newManager(config, s)
	if err != nil {
		return err
	}
	module, commit := buildinfo.Version()
	ctrl.Log.Info("the operator starts", "version", module, "revision", commit)
	return mgr.Start(ctrl.SetupSignalHandler())
}

func newManager(config *rest.Config, s *settings) (ctrl.Manager, error) {
	// When a server that many bridges use is lost, the status of each bridge must show
	// it within a second. The client's default limit of 20 requests per second would
	// delay the status writes. The API server limits clients itself, by priority and
	// fairness.
	config.QPS = -1

	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  controllers.CacheOptions(s.watchNamespaces),
		// The manager's own servers limit neither connections nor responses. addServers
		// adds servers that do.
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		LeaderElection:          s.leaderElect,
		LeaderElectionID:        leaderElectionID,
		LeaderElectionNamespace: s.leaderElectionNamespace,
		// The process exits when the manager stops, so that the next leader need not
		// wait until the Lease expires.
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
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
