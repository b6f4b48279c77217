// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxRefused is the largest length of the message about a refused manifest, in bytes.
const maxRefused = 1024

// Restart records that the bridge has ended, and starts again in this process with another
// manifest. The counts, the latest failover and the start of the process stay.
func (st *State) Restart(bridge *v1alpha1.MQTTBridge, metrics *Metrics) {
	metrics.restart()
	st.mu.Lock()
	defer st.mu.Unlock()
	now := metav1.Now()
	for side, spec := range map[*Side]*v1alpha1.Side{st.Local: &bridge.Spec.Local, st.Remote: &bridge.Spec.Remote} {
		side.disconnectedLocked()
		side.restartLocked(spec.Servers(), now)
		side.status.ClientID = spec.ClientID
	}
	st.buffer, st.deletion = nil, nil
	st.runner.Generation = bridge.Generation
	st.updateReadyLocked(now.Time)
}

// restartLocked sets the servers of a side that is not connected. A server with the same name and URL
// keeps its state.
func (s *Side) restartLocked(servers []v1alpha1.Server, now metav1.Time) {
	next, kept := make([]v1alpha1.ServerStatus, len(servers)), make([]int, len(servers))
	for i := range servers {
		next[i] = standbyServer(servers[i].Name, v1alpha1.PublicURL(servers[i].URL), now)
		kept[i] = slices.IndexFunc(s.status.Servers, func(e v1alpha1.ServerStatus) bool {
			return e.Name == next[i].Name && e.URL == next[i].URL
		})
	}
	s.setServersLocked(next, kept)
	s.status.RequestedSwitch = nil // the bridge reports it again
	s.lostServer, s.shortfalls = "", map[int][]v1alpha1.Shortfall{}
}

// restart sets the gauges of the directions as at the start of a bridge: the messages that the
// bridge held are still with their sources or on disk.
func (m *Metrics) restart() {
	for name, d := range m.directions {
		for _, gauge := range []vector{m.held, m.inflight, m.blocked} {
			gauge.with(name).set(0)
		}
		d.unforwardable.reportUnblocked()
	}
}

// SetRefused records that the runner cannot apply a manifest, and continues with the manifest of
// an earlier generation. nil: there is no such manifest.
func (st *State) SetRefused(r *v1alpha1.RefusedManifest) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.runner.Refused = nil
	if r != nil {
		st.runner.Refused = &v1alpha1.RefusedManifest{Generation: r.Generation, Message: truncate(r.Message, maxRefused)}
	}
	st.updateReadyLocked(time.Now())
}
