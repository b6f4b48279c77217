// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// pipeOptions returns the options that are the same for both directions.
func pipeOptions(s *config.Settings) delivery.Options {
	return delivery.Options{
		MemoryBytes:   s.MemoryBytes,
		BufferQoS0:    s.BufferQoS0,
		Unforwardable: delivery.Unforwardable{Block: s.BlockUnforwardable, DeadLetter: s.DeadLetterTopic},
		Drain:         delivery.DrainRate{Messages: s.DrainMessages, Bytes: s.DrainBytes},
	}
}

// diskOptions returns the options of a direction's buffer on disk. data is the directory for
// buffers.
func diskOptions(s *config.Settings, data, direction string) *delivery.Disk {
	return &delivery.Disk{
		Dir:      filepath.Join(data, bufferDirectory(direction)),
		Bytes:    s.Disk.Bytes,
		WhenFull: s.Disk.WhenFull,
		TTL:      s.Disk.TTL,
	}
}

// bufferDirectory returns the name of a direction's directory in the directory for buffers.
// The names are part of the format on disk: another name would leave a backlog behind.
func bufferDirectory(direction string) string {
	if direction == report.LocalToRemote {
		return "local_to_remote"
	}
	return "remote_to_local"
}
