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

// buffers holds the settings from which the buffers of both directions are made.
type buffers struct {
	spec  *v1alpha1.MQTTBridgeSpec
	data  string // the directory for buffers on disk
	state *report.State
	log   *slog.Logger
}

func newBuffers(spec *v1alpha1.MQTTBridgeSpec, data string, state *report.State, log *slog.Logger) (*buffers, error) {
	if spec.Buffer.Disk != nil && data == "" {
		return nil, errors.New("spec.buffer.disk is set, but the runner has no directory for the buffer; set --data to a directory, or remove spec.buffer.disk")
	}
	return &buffers{spec: spec, data: data, state: state, log: log}, nil
}

// options returns the options of a direction's pipe. flush sends the packets that were
// written to the sessions of both sides and not sent.
func (b *buffers) options(direction string, rules []config.Rule, flush func()) delivery.Options {
	opts := delivery.Options{
		MemoryBytes: int(b.spec.Buffer.Memory.Size.Value()),
		BufferQoS0:  *b.spec.Delivery.QoS0WhenDown == v1alpha1.QoS0WhenDownBuffer,
		Flush:       flush,
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
			Dir:           filepath.Join(b.data, bufferDirectory(direction)),
			Bytes:         config.DiskBytesPerDirection(b.spec),
			WhenFull:      *disk.WhenFull,
			TTL:           time.Duration(ptr.Deref(disk.MessageTTLSeconds, 0)) * time.Second,
			OnStateChange: b.state.WatchBacklog(direction, b.log),
		}
	}
	return opts
}

// bufferDirectory returns the name of a direction's directory in the directory for buffers.
// The names are part of the format on disk: another name would leave a backlog behind.
func bufferDirectory(direction string) string {
	if direction == report.LocalToRemote {
		return "local_to_remote"
	}
	return "remote_to_local"
}
