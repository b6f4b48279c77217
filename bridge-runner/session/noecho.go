// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// requireNoEcho closes a session of MQTT 3.1.1 that requires [Config.NoEcho], if the server
// refuses the bridge flag.
func requireNoEcho(s *Session, err error) (*Session, error) {
	if err != nil || !s.cfg.NoEcho || s.cfg.BridgeBit {
		return s, err
	}
	s.Close()
	return nil, newError(v1alpha1.ReasonEchoNotPrevented, "the server does not support the bridge flag of MQTT 3.1.1 and would send the bridge's own messages back, which the rules would forward again; set protocolVersion: '5' on this side, or change the rules so that no message can loop", nil)
}

// GiveUp ends the session because the bridge cannot work with this server. With the same
// State, Open fails with err from then on. GiveUp may be called from [Handler.Received].
func (s *Session) GiveUp(err *Error) {
	s.state.mu.Lock()
	s.state.givenUp = err
	s.state.mu.Unlock()
	s.endWithDisconnect(codeImplementation, err, Ending{})
}

// givenUpError returns the error that was passed to [Session.GiveUp]. It is nil if GiveUp
// was not called.
func (s *State) givenUpError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.givenUp == nil {
		return nil
	}
	return s.givenUp
}
