// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestPage_TwoRunners_ShowsWhichOneIsActive(t *testing.T) {
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Persistence: true})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", Persistence: true})
	pair := mqtttest.NewPair(t, manifest("to-cloud", local.URL(), "cloud", remote.URL()), false)
	pair.Start()
	active, standby := open(t, pair.Runners[0], "/"), open(t, pair.Runners[1], "/")
	active.waitRow("serve the same bridges", "this runner", "Active")
	active.waitRow("serve the same bridges", "127.0.0.1:", "Standby")
	standby.waitText("takes over if the other runner ends")
	standby.waitRow("serve the same bridges", "this runner", "Standby, warm")
	standby.waitRow("serve the same bridges", "127.0.0.1:", "Active")

	active.setUnreachable(true)
	pair.Runners[0].Kill()
	standby.waitText("Forwarding", "Connected to cloud, primary")
	standby.waitRow("serve the same bridges", "this runner", "Active")
	standby.waitRow("serve the same bridges", "127.0.0.1:", "not connected")
	standby.waitRow("became active", "PeerEnded", " ms")
}
