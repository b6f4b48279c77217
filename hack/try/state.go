// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// inUse is the state of the server that the runner uses.
const inUse = "in use"

// stateTimeout is the longest time for a request to the runner.
const stateTimeout = time.Second

// state is the runner's status. It is empty while the runner does not answer.
type state struct{ v1alpha1.MQTTBridgeStatus }

// stateReader reads the runner's status.
type stateReader struct{ address string }

func (r *stateReader) url(path string) string { return "http://" + r.address + path }

func (r *stateReader) read(ctx context.Context) (s state) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("/status"), http.NoBody)
	if err != nil {
		return state{}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return state{}
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&s.MQTTBridgeStatus); err != nil {
		return state{}
	}
	return s
}

// inUse returns the name of the remote server in use, if both sides are connected.
func (s state) inUse() string {
	if s.Local == nil || s.Local.Active == nil || s.Remote == nil || s.Remote.Active == nil {
		return ""
	}
	return s.Remote.Active.Name
}

// of returns the state of a server, in lower case. It is unknown while the runner does not answer.
func (s state) of(name string) string {
	for _, side := range []*v1alpha1.SideStatus{s.Local, s.Remote} {
		if side == nil {
			continue
		}
		for i := range side.Servers {
			if side.Servers[i].Name == name {
				return describe(side.Servers[i].State)
			}
		}
	}
	return "unknown"
}

func describe(s v1alpha1.ServerState) string {
	if s == v1alpha1.ServerActive {
		return inUse
	}
	return strings.ToLower(string(s))
}
