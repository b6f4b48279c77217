// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// Knowledge is the knowledge about one server that another process has.
type Knowledge struct {
	// FailedAt is the time of the latest failure. It is zero if the server has not failed since it was
	// last connected or passed a probe.
	FailedAt time.Time
	// RefusedAt is the time at which the server refused permanently. It is zero if it does not.
	RefusedAt time.Time
	// Active is true for the server that the other process used.
	Active bool
	// Clean is true if the other process has ended its session on the server, and the server holds no
	// QoS 2 message of it. The machine does not use it.
	Clean bool
	// FreeQoS2Blocks are the blocks of packet identifiers in which the server holds no QoS 2 messages of the
	// other process. The machine does not use it.
	FreeQoS2Blocks uint64
	// ClientID is the client identifier of the other process. It is empty if it is unknown. The machine does
	// not use it.
	ClientID string
}

// Recall gives the machine the knowledge of the process that this one replaces, by the index of the
// server. It is called before Next. The first attempt goes to the server that the other process used,
// unless another one is requested: it is the most likely to work.
func (m *Machine) Recall(servers map[int]Knowledge) {
	for i, k := range servers {
		m.servers[i].failedAt, m.servers[i].refusedAt = k.FailedAt, k.RefusedAt
		if k.Active {
			m.first = i
		}
	}
}
