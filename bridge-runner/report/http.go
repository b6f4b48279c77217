// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves the paths of [StateHandler] and [ProbeHandler].
func Handler(st *State, metrics *Metrics, alive func() error, stopping <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	handleState(mux, st, metrics)
	handleProbes(mux, alive, stopping)
	return mux
}

// StateHandler serves /metrics and /status.
func StateHandler(st *State, metrics *Metrics) http.Handler {
	mux := http.NewServeMux()
	handleState(mux, st, metrics)
	return mux
}

// ProbeHandler serves /livez and /readyz. The process is ready from its first attempts to
// connect until stopping is closed, independent of the servers: /status and the bridge's
// conditions report whether the bridge forwards. So an outage of a server neither restarts
// pods nor blocks the drain of a node. The caller closes stopping when the process begins to
// stop.
//
// The process is live while alive returns nil. If alive returns an error, /livez returns its
// text.
func ProbeHandler(alive func() error, stopping <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	handleProbes(mux, alive, stopping)
	return mux
}

func handleState(mux *http.ServeMux, st *State, metrics *Metrics) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		status := st.Status()
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(status) // fails if the client has closed the connection
	})
}

func handleProbes(mux *http.ServeMux, alive func() error, stopping <-chan struct{}) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		if err := alive(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-stopping:
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte("ok\n"))
		}
	})
}
