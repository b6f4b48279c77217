// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"

// Session adds the settings of the side to the settings of sessions.
func (s *Side) Session(cfg session.Config) session.Config {
	cfg.Version, cfg.BridgeFlag = s.Version, s.BridgeFlag
	cfg.CleanStart, cfg.SessionExpiry, cfg.PublishQoS = s.CleanSession, s.SessionExpiry, s.PublishQoS
	cfg.MaximumPacketSize = s.MaximumPacketSize
	cfg.KeepAlive, cfg.PingTimeout, cfg.AckTimeout = s.KeepAlive, s.PingTimeout, s.AckTimeout
	return cfg
}

// ServerSession adds a server to the settings of sessions, for the next attempt to connect to
// it, with the current contents of the Secrets. If an object that the manifest names is missing or
// unusable, the error is of type *[ReferenceError].
func ServerSession(cfg session.Config, s *Side, server *Server, secrets Secrets) (session.Config, error) {
	dial, err := Transport(server, secrets)
	if err != nil {
		return session.Config{}, err
	}
	dial.DelayReads = cfg.Transport.DelayReads
	cfg.Transport = dial
	cfg.CredentialsSource = server.Login.Source()
	if cfg.Username, cfg.Password, err = secrets.Login(&server.Login, s.Version); err != nil {
		return session.Config{}, err
	}
	return cfg, nil
}
