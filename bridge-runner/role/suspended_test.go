// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import "testing"

// Otherwise the driver connects to the server, and its closed gate ends the connection, again and again.
func TestSessionTaken_ConnectIsRequested_WaitsUntilTheBridgeIsResumed(t *testing.T) {
	s := activeScript(t).does(SessionEnded{"x", true}, Suspend{"x"}, Query{}, Renew{})
	s.does(ConnectRequested{"x"})
	s.does(LeaseWritten{Written, s.record}, Resume{"x"}).does(ConnectRequested{"x"}, Permit{"x"})
}

func TestSessionEnded_ConnectIsRequested_EarlierQuestionSuffices(t *testing.T) {
	s := activeScript(t).unreachable().does(SessionEnded{"x", false}, Suspend{"x"}, Query{})
	asked := s.m.seq
	s.does(ConnectRequested{"x"})
	s.does(PeerAnswered{From: peer, Said: Announcement{State: Standby}, Asked: asked}, Resume{"x"})
}
