// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The directions, as the label direction names them.
const (
	LocalToRemote = "localToRemote"
	RemoteToLocal = "remoteToLocal"
)

// Counts are the counters and gauges of one direction. The counters begin with 0 when the runner
// starts.
type Counts struct {
	Forwarded, ForwardedBytes, Dropped, Resent float64
	// Held and InFlight are numbers of messages in the memory of the runner.
	Held, InFlight float64
	// Backlog and BacklogBytes describe the buffer, and BacklogSeconds is the age of its oldest
	// message.
	Backlog, BacklogBytes, BacklogSeconds float64
	// Blocked is 1 if an unforwardable message blocks the direction.
	Blocked float64
}

// Sample is the state of the counters of a runner at a time.
type Sample struct {
	Pod        string
	Time       time.Time
	Directions map[string]*Counts
}

// Sample reads the counters of the active runner of a bridge.
func (c *Client) Sample(ctx context.Context, b *v1alpha1.MQTTBridge) (*Sample, error) {
	pod, err := ActivePod(b)
	if err != nil {
		return nil, err
	}
	text, err := c.Ask(ctx, b, pod, "/metrics")
	if err != nil {
		return nil, err
	}
	return parseSample(pod, text, time.Now())
}

// metrics are the metrics that a sample has.
var metrics = map[string]func(*Counts) *float64{
	"mqttbridge_messages_forwarded_total": func(c *Counts) *float64 { return &c.Forwarded },
	"mqttbridge_forwarded_bytes_total":    func(c *Counts) *float64 { return &c.ForwardedBytes },
	"mqttbridge_messages_dropped_total":   func(c *Counts) *float64 { return &c.Dropped },
	"mqttbridge_messages_resent_total":    func(c *Counts) *float64 { return &c.Resent },
	"mqttbridge_held_messages":            func(c *Counts) *float64 { return &c.Held },
	"mqttbridge_inflight_messages":        func(c *Counts) *float64 { return &c.InFlight },
	"mqttbridge_backlog_messages":         func(c *Counts) *float64 { return &c.Backlog },
	"mqttbridge_backlog_bytes":            func(c *Counts) *float64 { return &c.BacklogBytes },
	"mqttbridge_backlog_oldest_seconds":   func(c *Counts) *float64 { return &c.BacklogSeconds },
	"mqttbridge_blocked":                  func(c *Counts) *float64 { return &c.Blocked },
}

func parseSample(pod string, text []byte, now time.Time) (*Sample, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the pod %s does not answer with metrics: %w", pod, err)
	}
	if families["mqttbridge_messages_forwarded_total"] == nil {
		return nil, fmt.Errorf("the pod %s answers without the metrics of a runner", pod)
	}
	s := &Sample{Pod: pod, Time: now, Directions: map[string]*Counts{LocalToRemote: {}, RemoteToLocal: {}}}
	for name, field := range metrics {
		for _, m := range families[name].GetMetric() {
			if counts := s.Directions[label(m, "direction")]; counts != nil {
				*field(counts) += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return s, nil
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// Rate returns the messages and bytes per second of a direction between two samples. It returns
// false if the samples are of different processes, or too close to each other.
func Rate(before, after *Sample, direction string) (messages, size float64, ok bool) {
	if before == nil || after == nil || before.Pod != after.Pod {
		return 0, 0, false
	}
	seconds := after.Time.Sub(before.Time).Seconds()
	from, to := before.Directions[direction], after.Directions[direction]
	if seconds < 0.1 || to.Forwarded < from.Forwarded { // the process has started again
		return 0, 0, false
	}
	return (to.Forwarded - from.Forwarded) / seconds, (to.ForwardedBytes - from.ForwardedBytes) / seconds, true
}
