// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/httpserver"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// serve starts the HTTP servers for the health, the metrics, the status and the page: one server, or
// two if the metrics have an address of their own. stop closes them.
func serve(opts options, endpoints *report.Endpoints, log *slog.Logger) (stop func(), err error) {
	if opts.metricsListen == "" {
		return serveOn(opts.listen, "--listen", endpoints.Handler(), log)
	}
	stopProbes, err := serveOn(opts.listen, "--listen", endpoints.ProbeHandler(), log)
	if err != nil {
		return nil, err
	}
	stopMetrics, err := serveOn(opts.metricsListen, "--metrics-listen", endpoints.StateHandler(), log)
	if err != nil {
		stopProbes()
		return nil, err
	}
	return func() { stopProbes(); stopMetrics() }, nil
}

// serveOn starts a server on the address that a flag sets.
func serveOn(address, flag string, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on the address of %s: %w; set %s to an address of this machine, with a free port", flag, err, flag)
	}
	server := httpserver.New(httpserver.Guard(handler))
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the HTTP server for metrics and health has ended; restart the runner", "address", address, "error", err)
		}
	}()
	return func() { _ = server.Close() }, nil
}
