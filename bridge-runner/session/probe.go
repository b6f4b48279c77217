// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// Probe checks whether a client can use a server: by CONNECT, PINGREQ and DISCONNECT in a
// clean session, all before the context's deadline. If cfg has a ClientID other than the
// bridge's, the server treats the probe as another client. cfg's State and Will are not
// used. Errors are of type *[Error].
func Probe(ctx context.Context, cfg Config) error {
	cfg.CleanStart, cfg.Will, cfg.BridgeFlag, cfg.State = true, nil, false, NewState()
	s, err := Open(ctx, cfg)
	if err == nil {
		err = s.ping(ctx)
		s.Close()
	}
	var failed *Error
	if errors.As(err, &failed) && failed.Reason == v1alpha1.ReasonConnectTimeout {
		// The message names the setting that bounds an attempt. Another setting bounds a
		// probe.
		failed.Message = strings.ReplaceAll(failed.Message, "connectTimeoutSeconds", "probe.timeoutSeconds")
	}
	return err
}

// ping sends a PINGREQ and waits for the PINGRESP (section 3.12). It is for a session that
// is not started.
func (s *Session) ping(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() }) // ends the read below
	defer stop()
	s.write(packet.AppendPing)
	s.Flush()
	for {
		f, ok, err := s.conn.next(s.version)
		switch {
		case err != nil:
			return newError(v1alpha1.ReasonProtocolError, err.Error(), err)
		case ok && f.Type == packet.PINGRESP:
			return nil
		case ok && f.Type == packet.DISCONNECT:
			return s.disconnectError(packet.DecodeDisconnect(f.Body))
		case ok && f.Type == packet.PUBLISH: // some servers subscribe on behalf of their clients
			continue
		case ok:
			return newError(v1alpha1.ReasonProtocolError, "the server answers a ping with a packet other than PINGRESP", nil)
		}
		if err := s.conn.fill(); err != nil {
			if transport.TimedOut(ctx, err) {
				return newError(v1alpha1.ReasonPingTimeout, "the server accepted the connection and did not answer a ping within probe.timeoutSeconds", err)
			}
			return connectionLostError(err)
		}
	}
}
