// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

func TestHandOverObstacle_NoEffect_IsNamed(t *testing.T) {
	for _, tt := range []struct {
		status member.Status
		want   string // empty: there is no obstacle that the status shows
	}{
		{member.Status{State: role.Active, Peer: member.PeerStatus{Connected: true, State: role.Standby}}, ""},
		{member.Status{State: role.Active, Peer: member.PeerStatus{Address: "192.0.2.2:7400"}}, "not connected"},
		{member.Status{State: role.Standby, Peer: member.PeerStatus{Connected: true, State: role.Active}}, "this runner is Standby"},
	} {
		if got := handOverObstacle(tt.status); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.status, got, tt.want)
		}
	}
}
