// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Policies are the limits and policies that apply to all messages of a direction.
type Policies struct {
	Direction string `json:"direction"`
	// MaximumPacketSize is the size, in bytes, of the largest packet that is accepted from the
	// source. The messages of larger packets are dropped.
	MaximumPacketSize int `json:"maximumPacketSize"`
	// BuffersQoS0 is whether QoS 0 messages are kept while the destination is down.
	BuffersQoS0 bool `json:"buffersQoS0"`
	// MemoryBytes is the size of the buffer in memory, and DiskBytes of the buffer on disk; 0 means
	// that there is none.
	MemoryBytes int   `json:"memoryBytes"`
	DiskBytes   int64 `json:"diskBytes"`
	// WhenFull is the policy for a full buffer on disk, and TTLSeconds the time that a message may wait
	// there; 0 means no limit. Both are valid if DiskBytes is not 0.
	WhenFull   v1alpha1.WhenFull `json:"whenFull,omitempty"`
	TTLSeconds int64             `json:"messageTTLSeconds,omitempty"`
	// Unforwardable is the policy for a message that no server of the destination accepts.
	Unforwardable v1alpha1.UnforwardablePolicy `json:"unforwardable"`
	// DeadLetterTopic is the topic of dead letters on the source. It is empty if there are none.
	DeadLetterTopic string `json:"deadLetterTopic,omitempty"`
	// MaxHops is delivery.maxHops; 0 means that hops are not counted.
	MaxHops uint64 `json:"maxHops,omitempty"`
}

// policies returns the policies of the direction whose source is a side.
func (b *decider) policies(source *side) Policies {
	p := Policies{
		Direction:         source.direction,
		MaximumPacketSize: source.settings.MaximumPacketSize,
		BuffersQoS0:       b.settings.BufferQoS0,
		MemoryBytes:       b.settings.MemoryBytes,
		DiskBytes:         b.settings.Disk.Bytes,
		Unforwardable:     v1alpha1.UnforwardableDrop,
		DeadLetterTopic:   b.settings.DeadLetterTopic,
		MaxHops:           source.rules[0].MaxHops, // all rules have the same
	}
	if p.DiskBytes > 0 {
		p.WhenFull, p.TTLSeconds = b.settings.Disk.WhenFull, int64(b.settings.Disk.TTL.Seconds())
	}
	if b.settings.BlockUnforwardable {
		p.Unforwardable = v1alpha1.UnforwardableBlock
	}
	return p
}
