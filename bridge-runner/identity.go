// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// sessionIdentity are the settings of a session that no server overrides and that apply from its
// CONNECT to its end. A change of them requires a new connection.
type sessionIdentity struct {
	version                    packet.Version
	bridgeFlag, requireNoEcho  bool
	cleanStart                 bool
	sessionExpiry              uint32
	maximumPacketSize          int
	inflightWindow, qos2Window int
	keepAlive                  time.Duration
	pingTimeout, ackTimeout    time.Duration
	will                       packet.Will // zero: none
}

func identify(cfg *session.Config) sessionIdentity {
	out := sessionIdentity{
		version: cfg.Version, bridgeFlag: cfg.BridgeFlag, requireNoEcho: cfg.RequireNoEcho,
		cleanStart: cfg.CleanStart, sessionExpiry: cfg.SessionExpiry, maximumPacketSize: cfg.MaximumPacketSize,
		inflightWindow: cfg.Window, qos2Window: cfg.QoS2Window, keepAlive: cfg.KeepAlive, pingTimeout: cfg.PingTimeout, ackTimeout: cfg.AckTimeout,
	}
	if cfg.Will != nil {
		out.will = *cfg.Will
	}
	return out
}
