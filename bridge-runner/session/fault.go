// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"

// Fault describes a packet from the server that breaks the protocol and does not end the
// session.
type Fault struct {
	Packet packet.Type
	Faults packet.Faults
	// Topic is the topic name of a PUBLISH as received. It may be invalid.
	Topic string
	// Size is the size of the whole packet, in bytes.
	Size int
}

// Dropped reports whether the packet is a message that is not forwarded.
func (f *Fault) Dropped() bool { return f.Packet == packet.PUBLISH && f.Faults.Undeliverable() }

// report passes a packet with faults to Config.Fault.
func (s *Session) report(f packet.Frame, faults packet.Faults, topic string) {
	if faults != 0 && s.cfg.Fault != nil {
		s.cfg.Fault(Fault{Packet: f.Type, Faults: faults, Topic: topic, Size: f.Size})
	}
}
