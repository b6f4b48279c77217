// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestServe_MetricsListen_SeparatesProbesFromMetricsAndStatus(t *testing.T) {
	shared, probes, metrics := mqtttest.FreeAddress(t), mqtttest.FreeAddress(t), mqtttest.FreeAddress(t)
	for _, c := range []struct {
		opts options
		want map[string]string // the paths that an address serves
	}{
		{options{listen: shared}, map[string]string{shared: "/livez /readyz /metrics /status"}},
		{options{listen: probes, metricsListen: metrics}, map[string]string{probes: "/livez /readyz", metrics: "/metrics /status"}},
	} {
		registry := report.NewMetrics()
		stop, err := serve(t.Context(), c.opts, report.NewState(&v1alpha1.MQTTBridge{}, v1alpha1.RunnerStatus{Pod: "pod"}, registry), registry, func() error { return nil }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for address, paths := range c.want {
			for _, path := range []string{"/livez", "/readyz", "/metrics", "/status"} {
				resp, err := http.Get("http://" + address + path)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if got := resp.StatusCode == http.StatusOK; got != strings.Contains(paths, path) {
					t.Errorf("%+v: the address %s answers %s with %s", c.opts, address, path, resp.Status)
				}
			}
		}
		stop()
	}
}

func TestServe_AddressInUse_NamesTheFlag(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	registry := report.NewMetrics()
	_, err = serve(t.Context(), options{listen: "127.0.0.1:0", metricsListen: l.Addr().String()},
		report.NewState(&v1alpha1.MQTTBridge{}, v1alpha1.RunnerStatus{Pod: "pod"}, registry), registry, func() error { return nil }, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "--metrics-listen") {
		t.Errorf("%v", err)
	}
}
