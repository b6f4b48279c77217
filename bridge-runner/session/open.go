// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"math"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// Config describes how to open a session.
type Config struct {
	// Server is the name of the server, which the session only returns: see [Session.Server].
	Server string
	// Transport is the server's address and how to reach it. AckTimeout replaces its
	// WriteTimeout.
	Transport transport.Config
	// Version is the version of MQTT.
	Version packet.Version
	// BridgeFlag sets the bridge flag for servers of MQTT 3.1.1, see [packet.Connect]. If a
	// server refuses the flag, Open connects without it. It is ignored in MQTT 5.
	BridgeFlag bool
	// RequireNoEcho makes Open fail if the server refuses the bridge flag and so would send the
	// client's own messages back. It is ignored in MQTT 5, which has the option No Local.
	RequireNoEcho bool
	// ClientID is the client identifier (section 3.1.3.1).
	ClientID string
	// CleanStart makes the server discard an existing session (Clean Session in MQTT 3.1.1,
	// section 3.1.2.4). The new session ends with the connection.
	CleanStart bool
	// Discard makes the server discard an existing session and begin a session that
	// outlives the connection. In MQTT 3.1.1 this requires a separate connection. It is
	// ignored if CleanStart is set.
	Discard bool
	// SessionExpiry is the time for which the server keeps the session without a connection
	// (MQTT 5 section 3.1.2.11.2), in seconds; 4294967295 means no limit. It is ignored if
	// CleanStart is set, and in MQTT 3.1.1.
	SessionExpiry uint32
	// Username and Password are each sent if they are not empty. MQTT 3.1.1 does not allow
	// a Password without a Username ([MQTT-3.1.2-22]).
	Username, Password string
	// CredentialsSource names the origin of Username and Password in errors. It is empty if none
	// are configured.
	CredentialsSource string
	// Will is published by the server when the connection is lost (section 3.1.2.5).
	Will *packet.Will
	// KeepAlive is a number of whole seconds, from 1 to 65535 (section 3.1.2.10). An MQTT 5
	// server may set a lower value (section 3.2.2.3.14).
	KeepAlive time.Duration
	// ConnectTimeout is how long the server may be silent while the session subscribes. 0
	// means no limit besides the context. The context of Open bounds the time before.
	ConnectTimeout time.Duration
	// PingTimeout is how long a PINGREQ may stay unanswered.
	PingTimeout time.Duration
	// AckTimeout is how long the server may acknowledge nothing.
	AckTimeout time.Duration
	// Window is the largest number of QoS 1 and 2 messages in flight to the server, from 1
	// to 65535. The server's receive maximum applies if it is lower. The server may send 16
	// times as many unacknowledged messages: this is the bridge's own receive maximum (MQTT
	// 5 section 3.1.2.11.3).
	Window int
	// QoS2Window is the largest number of QoS 2 messages in flight to a server of MQTT 3.1.1, from
	// PUBLISH to PUBCOMP. Such a server cannot announce its limit, and Mosquitto acknowledges and drops
	// the messages above it. 0 means no limit but Window.
	QoS2Window int
	// PublishQoS is the highest QoS of the messages to publish, 0 to 2. If it is 2, an earlier process may
	// have published at QoS 2, too.
	PublishQoS byte
	// MaximumPacketSize is the size of the largest packet that is accepted, in bytes (MQTT
	// 5 section 3.1.2.11.4). Larger messages are not buffered. 0 means no limit.
	MaximumPacketSize int
	// Fault, if not nil, is called with each packet that breaks the protocol and does not
	// end the session. The goroutine that reads calls it; it must not block.
	Fault func(Fault)
	// State is the state of the session. It is required.
	State *State
	// Flusher sends the packets that are written to the session. If it is nil, the session has a
	// Flusher of its own.
	Flusher *Flusher
	// Gate decides whether the session may write. nil: always. Probes ignore it.
	Gate *Gate

	// inspection, if not nil, receives the facts about the connection.
	inspection *Inspection
}

// Open connects: name lookup, dial, TLS, CONNECT and CONNACK, all before the context's
// deadline. Nothing after the CONNACK is handled until [Session.Start] is called. Errors
// are of type *[Error] or *[transport.Error], or the error of [Session.RejectServer].
func Open(ctx context.Context, cfg Config) (*Session, error) {
	if err := cfg.State.rejectedError(); err != nil {
		return nil, err
	}
	if cfg.Discard && !cfg.CleanStart && cfg.Version == packet.V311 {
		clean := cfg
		clean.CleanStart, clean.Will = true, nil
		s, err := Open(ctx, clean)
		if err != nil {
			return nil, err
		}
		s.Close()
		cfg.Discard = false
	}
	if !cfg.BridgeFlag || cfg.Version != packet.V311 {
		s := newSession(cfg, false)
		if err := s.connect(ctx); err != nil {
			return nil, err
		}
		return s, nil
	}
	return requireNoEcho(openWithBridgeFlag(ctx, cfg))
}

func newSession(cfg Config, bridgeFlag bool) *Session {
	cfg.BridgeFlag = bridgeFlag
	s := &Session{
		cfg:            cfg,
		state:          cfg.State,
		flusher:        cfg.Flusher,
		version:        cfg.Version,
		requests:       map[uint16]*request{},
		closedCh:       make(chan struct{}),
		done:           make(chan struct{}),
		renewRequested: make(chan struct{}),
	}
	if s.flusher == nil {
		s.flusher = &Flusher{}
	}
	s.sendDone.L = &s.state.mu
	return s
}

// connect dials, sends CONNECT and handles CONNACK (sections 3.1 and 3.2).
func (s *Session) connect(ctx context.Context) error {
	s.conn = &wire{limit: s.cfg.MaximumPacketSize, start: time.Now()}
	defer s.cfg.inspection.record(s)
	dial := s.cfg.Transport
	dial.WriteTimeout = s.cfg.AckTimeout
	conn, err := transport.Dial(ctx, dial)
	if err != nil {
		return err
	}
	s.conn.Conn = conn
	if err := s.cfg.Gate.enter(ctx, s); err != nil {
		_ = conn.Close() // nothing was written
		return err
	}
	s.connectSent = true
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the read below
	ack, err := s.handshake()
	if !stop() && err == nil { // the context has ended meanwhile
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // the error to report is err
		s.cfg.Gate.leave(s)
		if ended := s.Err(); ended != nil { // by the gate
			return ended
		}
		return s.connectError(ctx, err)
	}
	s.server = ack
	if ack.Code != 0 {
		_ = conn.Close() // the error to report is the refusal
		s.cfg.Gate.leave(s)
		return s.refusalError(ack)
	}
	s.applyConnack()
	return nil
}

// receiveWindows is the receive maximum that the bridge announces, in windows. It bounds
// the number of pending messages. It is more than one, so that the server's own limit, of
// 20 to 2,000 messages, is lower: Mosquitto 2.0.11 exceeds a receive maximum that is lower
// than its max_inflight_messages, and then sends messages out of order after a reconnect.
const receiveWindows = 16

func (s *Session) handshake() (packet.Connack, error) {
	c := packet.Connect{
		Version:    s.version,
		BridgeFlag: s.cfg.BridgeFlag,
		ClientID:   s.cfg.ClientID,
		CleanStart: s.cfg.CleanStart || s.cfg.Discard,
		KeepAlive:  uint16(s.cfg.KeepAlive / time.Second), //nolint:gosec // at most 65535
		Username:   s.cfg.Username,
		Password:   s.cfg.Password,
		Will:       s.cfg.Will,
	}
	if s.version == packet.V5 {
		if !s.cfg.CleanStart {
			c.SessionExpiry = s.cfg.SessionExpiry
		}
		c.MaximumPacketSize = uint32(min(s.cfg.MaximumPacketSize, packet.MaxSize))  //nolint:gosec // just bounded
		c.ReceiveMaximum = uint16(min(receiveWindows*s.cfg.Window, math.MaxUint16)) //nolint:gosec // just bounded
	}
	if s.cfg.Gate.blocks() {
		return packet.Connack{}, errNotPermitted()
	}
	// If the write fails, the server may still have sent the reason: a TLS alert.
	_, failed := s.conn.Write(packet.AppendConnect(nil, &c))
	for {
		f, ok, err := s.conn.next(s.version)
		if first := s.conn.buf[s.conn.from:s.conn.to]; !ok && len(first) > 0 && first[0]>>4 != byte(packet.CONNACK) && first[0]>>4 != byte(packet.AUTH) {
			return packet.Connack{}, s.notMQTTError(first)
		}
		switch {
		case err != nil:
			return packet.Connack{}, err
		case !ok:
			if err := s.fill(); err != nil {
				if failed != nil && transport.AsAlert(err) == nil {
					err = failed
				}
				return packet.Connack{}, err
			}
		case f.Type == packet.AUTH:
			return packet.Connack{}, protocolError(codeBadAuthentication, "an AUTH packet: it requests enhanced authentication, which the bridge does not support")
		case f.Type != packet.CONNACK: // [MQTT-3.2.0-1]
			return packet.Connack{}, s.notMQTTError(s.conn.buf[:s.conn.to]) // probably not an MQTT server
		default:
			return packet.DecodeConnack(s.version, f.Body)
		}
	}
}

// applyConnack applies the values that the server announces in CONNACK.
func (s *Session) applyConnack() {
	ack := &s.server
	s.resumed = ack.SessionPresent
	if s.resumed && (s.cfg.CleanStart || s.cfg.Discard) { // violates [MQTT-3.2.2-2], [MQTT-3.2.2-1] of 3.1.1
		s.resumed = false
		ack.Violations = append(ack.Violations, "Session Present set, though the bridge requested a new session; the bridge treats the session as unknown")
	}
	s.keepAlive = s.cfg.KeepAlive
	if ack.HasServerKeepAlive && ack.ServerKeepAlive > 0 { // [MQTT-3.1.2-21]
		s.keepAlive = min(s.keepAlive, time.Duration(ack.ServerKeepAlive)*time.Second)
	}
	if ack.TopicAliasMaximum > 0 {
		s.aliases = map[string]uint16{}
	}
	s.inflightLimit = min(s.cfg.Window, int(ack.ReceiveMaximum))
	s.qos2Limit = math.MaxInt
	if s.version == packet.V311 && s.cfg.QoS2Window > 0 {
		s.qos2Limit = s.cfg.QoS2Window
	}
	s.state.beginConnection(s.resumed)
	if ack.SessionPresent && !s.resumed {
		// The server may hold any messages of this session, as of a session that an earlier
		// process began: it may send messages again, and may hold QoS 2 messages under
		// identifiers that are free here.
		s.state.markUnknown()
		s.state.beginConnection(true)
	}
	s.readAt = time.Now()
	s.lastSentAt = s.readAt
}
