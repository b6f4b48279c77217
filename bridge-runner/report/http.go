// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"net/http"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/httpserver"
)

// Endpoints are the parts of a process that its HTTP server shows.
type Endpoints struct {
	// Metrics serves /metrics.
	Metrics *Registry
	// Status returns the answer to /status.
	Status func() any
	// BridgeStatus returns the answer to /status/<namespace>/<name>, and false if there is no
	// such bridge. It is nil if the process runs one bridge.
	BridgeStatus func(namespace, name string) (status any, ok bool)
	// Member returns the answer to /member. It is nil if the process is no member of a group.
	Member func() any
	// Page adds the paths of the page for browsers.
	Page func(*http.ServeMux)
	// Alive returns an error if a part of the process makes no progress. /livez fails with its
	// text.
	Alive func() error
	// Ready returns why the process is not ready, or nil. A process is ready from its first
	// attempts to connect until it begins to stop, independent of the servers: /status and the
	// bridge's conditions report whether a bridge forwards. So an outage of a server neither
	// restarts pods nor blocks the drain of a node.
	Ready func() error
}

// Handler serves the paths of [Endpoints.StateHandler] and [Endpoints.ProbeHandler].
func (e *Endpoints) Handler() http.Handler {
	mux := http.NewServeMux()
	e.handleState(mux)
	e.handleProbes(mux)
	return mux
}

// StateHandler serves /metrics, /status and the page.
func (e *Endpoints) StateHandler() http.Handler {
	mux := http.NewServeMux()
	e.handleState(mux)
	return mux
}

// ProbeHandler serves /livez and /readyz.
func (e *Endpoints) ProbeHandler() http.Handler {
	mux := http.NewServeMux()
	e.handleProbes(mux)
	return mux
}

func (e *Endpoints) handleState(all *http.ServeMux) {
	mux := http.NewServeMux()
	all.Handle("/", httpserver.Shared(mux))
	e.Page(mux)
	mux.Handle("GET /metrics", e.Metrics.handler())
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.Status()) })
	if e.Member != nil {
		mux.HandleFunc("GET /member", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.Member()) })
	}
	if e.BridgeStatus == nil {
		return
	}
	mux.HandleFunc("GET /status/{namespace}/{name}", func(w http.ResponseWriter, r *http.Request) {
		status, ok := e.BridgeStatus(r.PathValue("namespace"), r.PathValue("name"))
		if !ok {
			http.Error(w, "the process runs no such bridge; /status lists the bridges", http.StatusNotFound)
			return
		}
		writeJSON(w, status)
	})
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(value) // fails if the client has closed the connection
}

func (e *Endpoints) handleProbes(mux *http.ServeMux) {
	for path, check := range map[string]func() error{"/livez": e.Alive, "/readyz": e.Ready} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			if err := check(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			_, _ = w.Write([]byte("ok\n"))
		})
	}
}
