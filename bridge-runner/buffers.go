// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// buffers are what both directions' buffers are made from.
type buffers struct {
	spec  *v1alpha1.MQTTBridgeSpec
	data  string
	state *report.State
	log   *slog.Logger
}

func newBuffers(spec *v1alpha1.MQTTBridgeSpec, data string, state *report.State, log *slog.Logger) (*buffers, error) {
	if spec.Buffer.Disk != nil && data == "" {
		return nil, errors.New("spec.buffer.disk needs a directory to be in; name it by --data, or remove buffer.disk")
	}
	return &buffers{spec: spec, data: data, state: state, log: log}, nil
}

// options returns those of the pipe of a direction, whose messages come from source.
func (b *buffers) options(direction string, rules []config.Rule, source *current) delivery.Options {
	opts := delivery.Options{
		MemoryBytes: int(b.spec.Buffer.Memory.Size.Value()),
		BufferQoS0:    *b.spec.Delivery.QoS0WhenDown == v1alpha1.QoS0WhenDownBuffer,
		Flush:       source.flush,
	}
	u := b.spec.Delivery.Unforwardable
	opts.Unforwardable.Block = *u.Policy == v1alpha1.UnforwardableBlock
	if u.DeadLetter != nil {
		opts.Unforwardable.DeadLetter = u.DeadLetter.Topic
	}
	if d := b.spec.Buffer.Drain; d != nil {
		opts.Drain.Messages = int(ptr.Deref(d.MessagesPerSecond, 0))
		if d.BytesPerSecond != nil {
			opts.Drain.Bytes = d.BytesPerSecond.Value()
		}
	}
	if disk := b.spec.Buffer.Disk; disk != nil && len(rules) > 0 {
		opts.Disk = &delivery.Disk{
			Dir:      filepath.Join(b.data, direction),
			Bytes:    config.Disk(b.spec),
			WhenFull: *disk.WhenFull,
			TTL:      time.Duration(ptr.Deref(disk.MessageTTLSeconds, 0)) * time.Second,
			Observe:  b.state.WatchBacklog(direction, b.log),
		}
	}
	return opts
}
