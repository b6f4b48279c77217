// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// A runner that does not run is not reported as a bridge without servers.
func TestServerInUse_NamesTheServerOrItsAbsence(t *testing.T) {
	running, ended := &process{done: make(chan struct{})}, &process{done: make(chan struct{})}
	close(ended.done)
	var connected state
	connected.Local = &v1alpha1.SideStatus{Active: &v1alpha1.ActiveServer{Name: "plant"}}
	connected.Remote = &v1alpha1.SideStatus{Active: &v1alpha1.ActiveServer{Name: "cloud-2"}}
	for _, tc := range []struct {
		runner *process
		now    state
		want   string
	}{
		{running, connected, "cloud-2 is in use"},
		{running, state{}, "no remote server is in use"},
		{ended, state{}, "the runner does not run"},
	} {
		w := &world{runner: &server{process: tc.runner}}
		if got := w.serverInUse(tc.now); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
