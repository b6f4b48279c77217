// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// requestHandOver requests a hand-over by a signal, and logs an obstacle, because no answer reaches the
// user who has sent the signal.
func (g *group) requestHandOver() {
	if obstacle := handOverObstacle(g.member.Status()); obstacle != "" {
		g.log.Warn("SIGUSR1 has no effect: " + obstacle)
	} else {
		g.log.Info("SIGUSR1 requests a hand-over; it has no effect if the standby is not warm")
	}
	g.member.HandOver()
}

// handOverObstacle returns why the member cannot hand over, or an empty string. The state decides: the
// status does not show whether the standby is warm.
func handOverObstacle(s member.Status) string {
	switch {
	case s.State != role.Active:
		return fmt.Sprintf("this runner is %s; send the signal to the active runner", s.State)
	case !s.Peer.Connected && len(s.Members) == 0:
		return "the standby is not connected; start it, or check the connection between the runners"
	}
	return ""
}
