// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	certutil "k8s.io/client-go/util/cert"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/httpserver"
	"github.com/mqttbridge/mqttbridge-operator/controllers"
)

// disabled is the address value that disables a server.
const disabled = "0"

// shutdownTimeout is how long a server waits for open requests when the operator stops.
const shutdownTimeout = 5 * time.Second

// metricsOf returns the metrics of the bridges, nil if they are turned off, and all metrics of
// the operator. The metrics of the bridges have a registry of their own, because tests run several
// operators in one process.
func metricsOf(s *settings) (*controllers.BridgeMetrics, prometheus.Gatherer) {
	if !s.bridgeMetrics {
		return nil, metrics.Registry
	}
	bridges, registry := controllers.NewBridgeMetrics(), prometheus.NewRegistry()
	registry.MustRegister(bridges)
	return bridges, prometheus.Gatherers{metrics.Registry, registry}
}

// addServers adds the servers for metrics and health probes.
func addServers(mgr ctrl.Manager, s *settings, gatherer prometheus.Gatherer) error {
	if s.metricsAddress != disabled {
		if err := addMetrics(mgr, s.metricsAddress, gatherer); err != nil {
			return fmt.Errorf("serving metrics: %w", err)
		}
	}
	if s.probeAddress != disabled {
		if err := addServer(mgr, "health probe", s.probeAddress, nil, healthHandler()); err != nil {
			return fmt.Errorf("serving the health probes: %w", err)
		}
	}
	return nil
}

// healthHandler answers the kubelet's probes. The operator is healthy and ready if it
// answers.
func healthHandler() http.Handler {
	checks := &healthz.Handler{Checks: map[string]healthz.Checker{"ping": healthz.Ping}}
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/readyz"} {
		mux.Handle(path, http.StripPrefix(path, checks))
		mux.Handle(path+"/", http.StripPrefix(path, checks))
	}
	return mux
}

// addMetrics adds the metrics server: over HTTPS, for clients with the right to get
// /metrics. The certificate is self-signed, and Prometheus is configured not to verify it.
// It encrypts the connection, so that the client's token cannot be read.
func addMetrics(mgr ctrl.Manager, address string, gatherer prometheus.Gatherer) error {
	filter, err := filters.WithAuthenticationAndAuthorization(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	handler, err := filter(ctrl.Log.WithName("metrics"), promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.HTTPErrorOnError,
	}))
	if err != nil {
		return err
	}
	cert, key, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", handler)
	return addServer(mgr, "metrics", address, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, mux)
}

// addServer adds a server that the manager runs on each replica.
func addServer(mgr ctrl.Manager, name, address string, secure *tls.Config, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	timeout := shutdownTimeout
	server := &manager.Server{Name: name, Server: httpserver.New(handler), Listener: listener, ShutdownTimeout: &timeout}
	if err := mgr.Add(server); err != nil {
		return errors.Join(err, listener.Close())
	}
	return nil
}
