// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
)

// Backlog adds the metrics of what a direction's buffer holds. They are asked for when
// they are read, so that they cost nothing between.
func (m *Metrics) Backlog(direction string, backlog func() delivery.Backlog) {
	gauge := func(name, help string, value func(delivery.Backlog) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: name, Help: help, ConstLabels: prometheus.Labels{"direction": direction},
		}, func() float64 { return value(backlog()) })
	}
	m.registry.MustRegister(
		gauge("backlog_messages", "Messages in the buffer on disk, or at QoS 0 in memory while the destination is down.",
			func(b delivery.Backlog) float64 { return float64(b.Messages) }),
		gauge("backlog_bytes", "What they take.",
			func(b delivery.Backlog) float64 { return float64(b.Bytes) }),
		gauge("backlog_oldest_seconds", "How long ago the oldest of them came. 0 where there is none.",
			func(b delivery.Backlog) float64 {
				if b.Oldest.IsZero() {
					return 0
				}
				return max(time.Since(b.Oldest).Seconds(), 0)
			}),
	)
}

// WatchBacklog returns what tells of the changes of a direction's buffer on disk. It is
// called with a pipe's lock held: log has to be one of [Late].
func (st *State) WatchBacklog(direction string, log *slog.Logger) func(v1alpha1.BacklogState, string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	status := &v1alpha1.BacklogStatus{State: v1alpha1.BacklogEmpty, Since: st.start}
	if st.buffer == nil {
		st.buffer = &v1alpha1.BufferStatus{}
	}
	if direction == LocalToRemote {
		st.buffer.LocalToRemote = status
	} else {
		st.buffer.RemoteToLocal = status
	}
	log = log.With("direction", direction)
	return func(state v1alpha1.BacklogState, message string) {
		st.mu.Lock()
		isNew := message != "" && truncate(message, maxMessage) != status.Message
		if state != status.State {
			status.State, status.Since = state, metav1.Now()
		}
		status.Message = truncate(message, maxMessage)
		st.notify()
		st.mu.Unlock()
		if isNew {
			log.Warn("the buffer has changed its state", "state", state, "message", message)
		} else {
			log.Info("the buffer has changed its state", "state", state)
		}
	}
}
