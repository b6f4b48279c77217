// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// The active runner has ended the sessions, and hands over at its end.
func TestPair_DeletionComplete_OtherRunnerEndsWithoutConnecting(t *testing.T) {
	t.Parallel()
	local, remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"}), mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	b := manifest("pair", local.URL(), remote.URL())
	pair := mqtttest.NewPair(t, b, false)
	pair.Start()
	active, standby := pair.Runners[0], pair.Runners[1]
	active.WaitActive("primary", eventTimeout)
	requestDeletion(standby, b, v1alpha1.DeletionDrain)
	waitDeletion(standby, "the standby waits", func(d *v1alpha1.DeletionStatus) bool { return d.State == v1alpha1.DeletionDraining })
	requestDeletion(active, b, v1alpha1.DeletionDrain)
	wantExit(t, active, 0)
	wantExit(t, standby, 0)
	wantNoSession(t, localSide, b, local)
	if log := standby.Log(); strings.Contains(log, "msg=connected") || !strings.Contains(log, "another runner has ended the sessions") {
		t.Errorf("the log of the other runner:\n%s", log)
	}
}

// deletionTimeoutSeconds bounds the work of the active runner. The standby does not work, so that its
// time begins when it becomes active.
func TestPair_Deletion_TimeoutBeginsWhenTheRunnerIsActive(t *testing.T) {
	const timeout = 10 * time.Second
	local, remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"}), mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	b := manifest("pair", local.URL(), remote.URL())
	b.Spec.DeletionTimeoutSeconds = ptr.To(int32(timeout / time.Second))
	pair := mqtttest.NewPair(t, b, false)
	pair.Start()
	active, standby := pair.Runners[0], pair.Runners[1]
	active.WaitActive("primary", eventTimeout)
	remote.Freeze() // the message cannot be delivered
	mqtttest.StartClient5(t, local, "publisher").Publish(&paho.Publish{Topic: "up/x", QoS: 1, Payload: []byte("x")})
	requestDeletion(active, b, v1alpha1.DeletionDrain)
	requestDeletion(standby, b, v1alpha1.DeletionDrain)
	wantExit(t, active, 1)
	ended := time.Now()
	wantExit(t, standby, 1)
	if took := time.Since(ended); took < timeout-2*time.Second {
		t.Errorf("the standby ended %s after the active runner, want at least %s", took, timeout-2*time.Second)
	}
}
