// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// A hand-over to a standby that does not reach the server in use would interrupt the bridge. But if the
// server has failed for both, the standby must not block a roll-out.
func TestStartsAtOnce_Probes_CountForTheServerInUse(t *testing.T) {
	uses := func(server string) *peer.Knowledge {
		return &peer.Knowledge{Sides: map[string]peer.SideKnowledge{manifest.SideRemote: {Active: server}}}
	}
	passed := map[string]bool{"a": true, "b": false}
	for name, tt := range map[string]struct {
		passed map[string]bool
		active *peer.Knowledge
		want   bool
	}{
		"the server in use has passed":             {passed, uses("a"), true},
		"the server in use has failed":             {passed, uses("b"), false},
		"no server is in use":                      {passed, uses(""), true},
		"the server in use is not in the list":     {passed, uses("c"), true},
		"no runner is active":                      {passed, nil, true},
		"nothing is known about the side":          {passed, &peer.Knowledge{}, true},
		"probes are disabled":                      {nil, uses("b"), true},
		"probes are disabled, no runner is active": {nil, nil, true},
	} {
		if got := startsAtOnce(tt.passed, tt.active, manifest.SideRemote); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}
