// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// After a hand-over, a server of MQTT 5 does not send the retained messages again, because the default of
// retainHandling is SendIfNew.
func TestPair_HandOver_RetainedMessageArrivesOnce(t *testing.T) {
	p := newPair(t)
	b := speaking(manifest("pair", p.local.URL(), p.remote.URL()), v5, v5)
	p.here.Publish(&paho.Publish{Topic: "up/x", QoS: 1, Retain: true, Payload: []byte("x")})
	pair := mqtttest.NewPair(t, b, false)
	pair.Start()
	p.there.Wait("up/x", 1, eventTimeout)
	pair.Runners[0].HandOver()
	pair.WaitRoles(1)
	pair.Runners[1].WaitActive("primary", eventTimeout)
	p.here.Publish(&paho.Publish{Topic: "up/y", QoS: 1, Payload: []byte("y")})
	p.there.Wait("up/y", 1, eventTimeout)
	if n := len(p.there.Received("up/x")); n != 1 {
		t.Errorf("the retained message arrived %d times, want 1", n)
	}
}
