// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"

// Shortfalls are the features that a connected server does not provide as configured. The zero value
// means that there are none.
type Shortfalls struct {
	// Lowered are the subscriptions at a lower QoS than requested (section 3.9.3).
	Lowered []LoweredFilter
	// Publish is set if the server accepts messages only at a lower QoS than requested: it has
	// announced that (MQTT 5 section 3.2.2.3.4) or shown it.
	Publish *LoweredQoS
	// Expiry is set if the server keeps the session for a shorter time than requested (MQTT 5
	// section 3.2.2.3.2).
	Expiry *LoweredExpiry
}

// LoweredFilter is a filter that the server granted at a lower QoS than requested.
type LoweredFilter struct {
	Filter             string
	Requested, Granted byte // QoS
}

// LoweredQoS is a lower QoS than requested.
type LoweredQoS struct{ Requested, Granted byte }

// LoweredExpiry is a session expiry interval below the requested one, in seconds. A requested interval
// of 4294967295 means no limit.
type LoweredExpiry struct{ Requested, Granted uint32 }

// Shortfalls returns the shortfalls of the server of a session that has subscribed. publishQoS is the
// highest QoS of the messages to publish, 0 to 2.
func (s *Session) Shortfalls(publishQoS byte) (all Shortfalls) {
	s.state.mu.Lock()
	lowered, maxQoS := s.state.subscriptions.lowered(), s.server.MaximumQoS
	if s.state.out.limitedToQoS1() {
		maxQoS = min(maxQoS, 1)
	}
	s.state.mu.Unlock()
	all.Lowered = lowered
	if maxQoS < publishQoS {
		all.Publish = &LoweredQoS{Requested: publishQoS, Granted: maxQoS}
	}
	asked := s.cfg.SessionExpiry
	if s.version == packet.V5 && !s.cfg.CleanStart && s.server.HasSessionExpiry && s.server.SessionExpiry < asked {
		all.Expiry = &LoweredExpiry{Requested: asked, Granted: s.server.SessionExpiry}
	}
	return all
}

// Remarks describe how the connection was made.
type Remarks struct {
	// Violations describe values in CONNACK that break the protocol.
	Violations []string
	// NoRetain is whether the server does not support retained messages.
	NoRetain bool
	// NoBridgeFlag is whether the server refuses the bridge flag.
	NoBridgeFlag bool
}

// Remarks returns remarks about how the connection was made.
func (s *Session) Remarks() Remarks {
	return Remarks{
		Violations:   s.server.Violations,
		NoRetain:     !s.server.RetainAvailable,
		NoBridgeFlag: s.state.refusesBridgeFlag() && !s.cfg.BridgeFlag,
	}
}
