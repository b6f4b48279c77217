// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestServers_3000IdleConnections_StillAnswer(t *testing.T) {
	// These requests need no API server.
	mgr, err := ctrl.NewManager(&rest.Config{Host: "https://" + mqtttest.FreeAddress(t)}, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: disabled}, HealthProbeBindAddress: disabled,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &settings{metricsAddress: mqtttest.FreeAddress(t), probeAddress: mqtttest.FreeAddress(t)}
	if err := addServers(mgr, s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()

	for _, address := range []string{s.metricsAddress, s.probeAddress} {
		for range 3000 {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}}
	for url, want := range map[string]int{
		"http://" + s.probeAddress + "/healthz":    http.StatusOK,
		"http://" + s.probeAddress + "/readyz":     http.StatusOK,
		"http://" + s.probeAddress + "/else":       http.StatusNotFound,
		"https://" + s.metricsAddress + "/metrics": http.StatusUnauthorized,
		"https://" + s.metricsAddress + "/healthz": http.StatusNotFound,
	} {
		got, err := client.Get(url)
		if err != nil {
			t.Error(err)
			continue
		}
		_ = got.Body.Close()
		if got.StatusCode != want {
			t.Errorf("%s answers %s; want status %d", url, got.Status, want)
		}
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
