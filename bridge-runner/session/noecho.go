// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

// requireNoEcho closes a session of MQTT 3.1.1 that requires [Config.RequireNoEcho], if the server
// refuses the bridge flag.
func requireNoEcho(s *Session, err error) (*Session, error) {
	if err != nil || !s.cfg.RequireNoEcho || s.cfg.BridgeFlag {
		return s, err
	}
	s.Close()
	return nil, &Error{Kind: EchoNotPrevented}
}

// RejectServer ends the session because the bridge cannot work with this server. With the same
// State, Open fails with err until [State.AllowServer] is called. RejectServer may be called from
// [Handler.Received].
func (s *Session) RejectServer(err error) {
	s.state.mu.Lock()
	s.state.rejected = err
	s.state.mu.Unlock()
	s.endWithDisconnect(codeImplementation, err, Ending{})
}

// AllowServer ends the effect of [Session.RejectServer], for example because the settings have changed.
func (s *State) AllowServer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = nil
}

// rejectedError returns the error with which Open fails since [Session.RejectServer] was called. It is
// nil if Open may connect.
func (s *State) rejectedError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rejected
}
