// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

func TestIdentify_Settings_DistinguishSessions(t *testing.T) {
	base := session.Config{Will: &packet.Will{Topic: "t"}}
	for name, c := range map[string]struct {
		change func(*session.Config)
		same   bool
	}{
		"an equal will":     {func(c *session.Config) { c.Will = &packet.Will{Topic: "t"} }, true},
		"a password":        {func(c *session.Config) { c.Password = "p" }, true},
		"connectTimeout":    {func(c *session.Config) { c.ConnectTimeout = time.Second }, true},
		"version":           {func(c *session.Config) { c.Version = packet.V5 }, false},
		"bridge flag":       {func(c *session.Config) { c.BridgeFlag = true }, false},
		"requireNoEcho":     {func(c *session.Config) { c.RequireNoEcho = true }, false},
		"clientID":          {func(c *session.Config) { c.ClientID = "c" }, true}, // the connector transfers
		"clean session":     {func(c *session.Config) { c.CleanStart = true }, false},
		"sessionExpiry":     {func(c *session.Config) { c.SessionExpiry = 1 }, false},
		"maximumPacketSize": {func(c *session.Config) { c.MaximumPacketSize = 1 }, false},
		"inflightWindow":    {func(c *session.Config) { c.Window = 1 }, false},
		"QoS 2 window":      {func(c *session.Config) { c.QoS2Window = 1 }, false},
		"keepAlive":         {func(c *session.Config) { c.KeepAlive = time.Second }, false},
		"pingTimeout":       {func(c *session.Config) { c.PingTimeout = time.Second }, false},
		"ackTimeout":        {func(c *session.Config) { c.AckTimeout = time.Second }, false},
		"another will":      {func(c *session.Config) { c.Will = &packet.Will{Topic: "u"} }, false},
		"no will":           {func(c *session.Config) { c.Will = nil }, false},
	} {
		changed := base
		c.change(&changed)
		if same := identify(&changed) == identify(&base); same != c.same {
			t.Errorf("with %s, the session is the same: %t, want %t", name, same, c.same)
		}
	}
}
