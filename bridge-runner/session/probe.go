// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// Probe checks whether a client can use a server: by CONNECT, PINGREQ and DISCONNECT in a
// clean session, all before the context's deadline. If cfg has a ClientID other than the
// bridge's, the server treats the probe as another client. cfg's State and Will are not
// used, nor its Gate. Errors are of type *[Error] or *[transport.Error].
func Probe(ctx context.Context, cfg Config) error {
	cfg.Gate = nil
	return shortSession(ctx, cfg, func(*Session) {})
}

// EndSession ends the client's session on a server, together with its subscriptions and the
// messages that the server has queued in it: it connects with Clean Start, in a session that
// ends with the connection (Clean Session in MQTT 3.1.1 section 3.1.2.4; Clean Start and a
// Session Expiry Interval of 0 in MQTT 5 sections 3.1.2.4 and 3.1.2.11.2). No other connection
// may use the session meanwhile. If topic is not empty, EndSession also deletes the retained
// message of this topic, by a retained message without a payload (section 3.3.1.3).
// It uses cfg as Probe does, and all of it happens before the context's deadline.
func EndSession(ctx context.Context, cfg Config, topic string) error {
	return shortSession(ctx, cfg, func(s *Session) {
		if topic == "" || !s.server.RetainAvailable {
			return // such a server holds no retained messages
		}
		s.write(func(b []byte) []byte {
			return packet.AppendPublish(b, s.version, &packet.Publish{Topic: topic, Retain: true})
		})
	})
}

// shortSession connects in a clean session, lets use write packets, and waits for a PINGRESP,
// which shows that the server has handled them.
func shortSession(ctx context.Context, cfg Config, use func(*Session)) error {
	cfg.CleanStart, cfg.Will, cfg.BridgeFlag, cfg.State = true, nil, false, NewState()
	s, err := Open(ctx, cfg)
	if err == nil {
		use(s)
		err = s.ping(ctx)
		s.Close()
	}
	return err
}

// ping sends a PINGREQ and waits for the PINGRESP (section 3.12). It is for a session that
// is not started.
func (s *Session) ping(ctx context.Context) error {
	s.write(packet.AppendPing)
	_, err := s.await(ctx, packet.PINGRESP)
	return err
}

// await sends the written packets, and waits for a packet of a type. The packet is valid until the next
// read. await is for a session that is not started.
func (s *Session) await(ctx context.Context, wanted packet.Type) (packet.Frame, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() }) // ends the read below
	defer stop()
	s.flusher.Flush()
	for {
		f, ok, err := s.conn.next(s.version)
		switch {
		case err != nil:
			return f, &Error{Kind: ProtocolViolation, Detail: err.Error(), Err: err}
		case ok && f.Type == wanted:
			return f, nil
		case ok && f.Type == packet.DISCONNECT:
			return f, s.disconnectError(packet.DecodeDisconnect(f.Body))
		case ok && f.Type == packet.PUBLISH: // some servers subscribe on behalf of their clients
			continue
		case ok:
			return f, &Error{Kind: ProbeOtherAnswer}
		}
		if err := s.fill(); err != nil {
			if transport.TimedOut(ctx, err) {
				return f, &Error{Kind: ProbeTimeout, Err: err}
			}
			return f, connectionLostError(err)
		}
	}
}
