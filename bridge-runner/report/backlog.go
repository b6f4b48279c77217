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

// Backlog registers the metrics of a direction's buffer. It calls backlog when the metrics are
// read, so they cost nothing at other times.
func (m *Metrics) Backlog(direction string, backlog func() delivery.Backlog) {
	gauge := func(name, help string, value func(delivery.Backlog) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: name, Help: help, ConstLabels: prometheus.Labels{"direction": direction},
		}, func() float64 { return value(backlog()) })
	}
	m.registry.MustRegister(
		gauge("backlog_messages", "Number of messages in the buffer: on disk, and QoS 0 messages in memory while the destination is down.",
			func(b delivery.Backlog) float64 { return float64(b.Messages) }),
		gauge("backlog_bytes", "Size of the messages in the buffer, in bytes.",
			func(b delivery.Backlog) float64 { return float64(b.Bytes) }),
		gauge("held_bytes", "Size of the QoS 1 and 2 messages in memory that are not acknowledged to their source, in bytes.",
			func(b delivery.Backlog) float64 { return float64(b.HeldBytes) }),
		gauge("backlog_oldest_seconds", "Time since the oldest message in the buffer arrived at the runner, in seconds. 0 if the buffer is empty.",
			func(b delivery.Backlog) float64 {
				if b.Oldest.IsZero() {
					return 0
				}
				return max(time.Since(b.Oldest).Seconds(), 0)
			}),
	)
}

// SetCapacity sets the sizes up to which a direction buffers messages, in bytes. disk is 0 if
// there is no buffer on disk.
func (m *Metrics) SetCapacity(direction string, memory, disk int64) {
	m.capacity.WithLabelValues(direction, "memory").Set(float64(memory))
	if disk > 0 {
		m.capacity.WithLabelValues(direction, "disk").Set(float64(disk))
	} else {
		m.capacity.DeleteLabelValues(direction, "disk")
	}
}

// WatchBacklog adds the buffer on disk of a direction to the status. The function that it
// returns reports a change of the buffer's state, in the status and in the log. That function
// is called with a pipe's lock held, so log must be a logger of [Async].
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
		st.signalChange()
		st.mu.Unlock()
		if isNew {
			log.Warn("the state of the buffer on disk has changed", "state", state, "message", message)
		} else {
			log.Info("the state of the buffer on disk has changed", "state", state)
		}
	}
}
