// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// backlogs collects the metrics of the buffers of both directions. They are read when the
// metrics are collected, so they cost nothing at other times.
type backlogs struct {
	messages, bytes, held, oldest *prometheus.Desc

	mu   sync.Mutex // not held while a function of read is called, which takes the lock of a pipe
	read map[string]func() delivery.Backlog
}

func newBacklogs() *backlogs {
	gauge := func(name string) *prometheus.Desc { return describe(metriclist.Get(name, metriclist.Gauge)) }
	return &backlogs{
		messages: gauge("mqttbridge_backlog_messages"),
		bytes:    gauge("mqttbridge_backlog_bytes"),
		held:     gauge("mqttbridge_held_bytes"),
		oldest:   gauge("mqttbridge_backlog_oldest_seconds"),
		read:     map[string]func() delivery.Backlog{},
	}
}

// Describe implements prometheus.Collector.
func (b *backlogs) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{b.messages, b.bytes, b.held, b.oldest} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (b *backlogs) Collect(metrics chan<- prometheus.Metric) {
	b.mu.Lock()
	read := maps.Clone(b.read)
	b.mu.Unlock()
	for direction, backlog := range read {
		now := backlog()
		age := 0.0
		if !now.Oldest.IsZero() {
			age = max(time.Since(now.Oldest).Seconds(), 0)
		}
		gauge := func(d *prometheus.Desc, value float64) {
			metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, direction)
		}
		gauge(b.messages, float64(now.Messages))
		gauge(b.bytes, float64(now.Bytes))
		gauge(b.held, float64(now.HeldBytes))
		gauge(b.oldest, age)
	}
}

// Backlog sets the function that returns the state of a direction's buffer.
func (m *Metrics) Backlog(direction string, backlog func() delivery.Backlog) {
	m.backlogs.mu.Lock()
	defer m.backlogs.mu.Unlock()
	m.backlogs.read[direction] = backlog
}

// SetCapacity sets the sizes up to which a direction buffers messages, in bytes. disk is 0 if
// there is no buffer on disk.
func (m *Metrics) SetCapacity(direction string, memory, disk int64) {
	m.capacity.with(direction, "memory").set(float64(memory))
	if disk == 0 {
		m.capacity.remove(direction, "disk") // of the settings before a restart of the bridge
		return
	}
	m.capacity.with(direction, "disk").set(float64(disk))
}

// WatchBacklog adds the buffer on disk of a direction to the status. The function that it
// returns reports a change of the buffer's state, in the status and in the log. That function
// is called with a pipe's lock held, so log must be a logger of [Async].
func (st *State) WatchBacklog(direction string, log *slog.Logger) func(v1alpha1.BacklogState, string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	status := &v1alpha1.BacklogStatus{State: v1alpha1.BacklogEmpty, Since: metav1.Now()}
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
