// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
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

// restartLocked sets the servers of a side that is not connected. Servers that stay keep their state,
// also under another name.
func (s *Side) restartLocked(servers []v1alpha1.Server, now metav1.Time) {
	next, before := make([]connector.Server, len(servers)), make([]connector.Server, len(s.status.Servers))
	for i := range servers {
		next[i] = connector.Server{Name: servers[i].Name, URL: v1alpha1.PublicURL(servers[i].URL)}
	}
	for i := range before {
		before[i] = connector.Server{Name: s.status.Servers[i].Name, URL: s.status.Servers[i].URL}
	}
	s.setServersLocked(next, connector.Previous(next, before), now)
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
