// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
)

// Traffic has the counts and the backlog of a direction. It has the values of the metrics.
type Traffic struct {
	// Forwarded, Bytes, Resent and Dropped count messages and bytes since the start of the process.
	Forwarded, Bytes, Resent, Dropped uint64
	// Held and InFlight are numbers of messages in memory.
	Held, InFlight uint64
	// Backlog is the content of the buffer.
	Backlog delivery.Backlog
	// MemoryBytes and DiskBytes are the sizes up to which the direction buffers messages. DiskBytes is
	// 0 if there is no buffer on disk.
	MemoryBytes, DiskBytes int64
	// Blocked is true while a message that no server accepts blocks the direction.
	Blocked bool
}

// Traffic returns the present values of a direction. It creates no series.
func (m *Metrics) Traffic(direction string) Traffic {
	sum := func(v vector, labels ...string) float64 { return v.of(direction).of(labels...).sum() }
	return Traffic{
		Forwarded:   uint64(sum(m.forwarded)),
		Bytes:       uint64(sum(m.bytes)),
		Resent:      uint64(sum(m.resent)),
		Dropped:     uint64(sum(m.dropped)),
		Held:        uint64(sum(m.held)),
		InFlight:    uint64(sum(m.inflight)),
		Backlog:     m.backlogs.of(direction),
		MemoryBytes: int64(sum(m.capacity, "memory")),
		DiskBytes:   int64(sum(m.capacity, "disk")),
		Blocked:     sum(m.blocked) > 0,
	}
}

// sum returns the sum of all series whose first labels have the values of the vector.
func (v vector) sum() (total float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.series {
		if slices.Equal(s.labels[:len(v.labels)], v.labels) {
			total += v.read(s)
		}
	}
	return total
}

// of returns the content of a direction's buffer. It is empty if the direction has no pipe.
func (b *backlogs) of(direction string) delivery.Backlog {
	b.mu.Lock()
	backlog := b.read[direction]
	b.mu.Unlock()
	if backlog == nil {
		return delivery.Backlog{}
	}
	return backlog()
}
