// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// All bridges of a process change the runner at once. A bridge whose server does not answer must not interrupt
// the others for the longest time of a drain, and must not lose its messages.
func TestPair_HandOverWhileAServerDoesNotAnswer_OtherBridgesContinueSoon(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mute := mqtttest.StartProxy(t, s.remote.Address(), 0)
	slow := s.bridge("slow")
	slow.Spec.Remote.Primary.URL = mute.URL()
	pair := mqtttest.NewHostPair(t, []*v1alpha1.MQTTBridge{s.bridge("fast"), slow})
	pair.Start()
	s.send("fast/1")
	s.send("slow/1")
	mute.BlackHole(true)
	s.near.Publish(&paho.Publish{Topic: "slow/2", QoS: 1, Payload: []byte("x")})
	time.Sleep(100 * time.Millisecond) // no event shows that the runner has received the message
	started := time.Now()
	pair.Runners[0].HandOver()
	pair.Runners[1].WaitMember(func(m mqtttest.Member) bool { return m.State == mqtttest.MemberActive })
	s.send("fast/2")
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("the hand-over takes %s", took)
	}
	mute.BlackHole(false)
	mute.Cut()
	s.far.Wait("slow/2", 1, eventTimeout)
}
