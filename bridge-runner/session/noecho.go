// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// withoutEcho closes a session of MQTT 3.1.1 that needs [Config.NoEcho], if the server
// has refused to take the client for a bridge.
func withoutEcho(s *Session, err error) (*Session, error) {
	if err != nil || !s.cfg.NoEcho || s.cfg.BridgeBit {
		return s, err
	}
	s.Close()
	return nil, newError(v1alpha1.ReasonEchoNotPrevented, "the server does not know bridges of MQTT 3.1.1 and would send the bridge's own messages back, which the rules would forward again; set protocolVersion: '5' on this side, or change the rules so that no message can go round", nil)
}

// GiveUp ends the session because the bridge cannot go on with this server. No other
// session is opened with this state. It may be called from [Handler.Received].
func (s *Session) GiveUp(err *Error) {
	s.state.mu.Lock()
	s.state.gaveUp = err
	s.state.mu.Unlock()
	s.refuse(codeImplementation, err, Ending{})
}

// refused is why the server was given up by [Session.GiveUp], nil if it was not.
func (s *State) refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gaveUp == nil {
		return nil
	}
	return s.gaveUp
}
