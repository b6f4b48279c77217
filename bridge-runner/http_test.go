// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/page"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// healthy returns the endpoints of a process that is live and ready.
func healthy() *report.Endpoints {
	ok := func() error { return nil }
	return &report.Endpoints{
		Metrics: report.NewRegistry(), Status: func() any { return nil }, Alive: ok, Ready: ok,
		Page: page.New(&page.Source{Many: func() []page.Bridge { return nil }}).Register,
	}
}

func TestServe_MetricsListen_SeparatesProbesFromMetricsAndStatus(t *testing.T) {
	shared, probes, metrics := mqtttest.FreeAddress(t), mqtttest.FreeAddress(t), mqtttest.FreeAddress(t)
	for _, c := range []struct {
		opts options
		want map[string]string // the paths that an address serves
	}{
		{options{listen: shared}, map[string]string{shared: "/livez /readyz /metrics /status / /page.js"}},
		{options{listen: probes, metricsListen: metrics}, map[string]string{probes: "/livez /readyz", metrics: "/metrics /status / /page.js"}},
	} {
		stop, err := serve(c.opts, healthy(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for address, paths := range c.want {
			for _, path := range []string{"/livez", "/readyz", "/metrics", "/status", "/", "/page.js", "/page", "/index.html"} {
				resp, err := http.Get("http://" + address + path)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if got := resp.StatusCode == http.StatusOK; got != slices.Contains(strings.Fields(paths), path) {
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
	_, err = serve(options{listen: "127.0.0.1:0", metricsListen: l.Addr().String()}, healthy(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "set --metrics-listen to an address of this machine, with a free port") {
		t.Errorf("%v", err)
	}
}
