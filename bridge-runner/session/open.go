// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"math"
	"net"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// Config says how to open a session.
type Config struct {
	// Transport says where the server is and how it is reached.
	Transport transport.Config
	// Version is that of MQTT.
	Version packet.Version
	// BridgeBit announces a bridge to 3.1.1 servers that know of it, see
	// [packet.Connect]. If a server refuses it, the bridge connects without.
	BridgeBit bool
	// NoEcho has Open fail if the server does not take the client for a bridge, so that
	// it would send the client's own messages back. It has no meaning in MQTT 5, which has
	// the option No Local.
	NoEcho bool
	// ClientID is the client identifier (section 3.1.3.1).
	ClientID string
	// CleanStart ends a session that the server has kept (Clean Session in MQTT 3.1.1,
	// section 3.1.2.4). It also ends the session with the connection.
	CleanStart bool
	// Discard has the server drop a session that it has kept, and begin one that it
	// keeps. MQTT 3.1.1 takes a connection of its own for that. It has no meaning with
	// CleanStart.
	Discard bool
	// SessionExpiry is for how long the server keeps the session without a connection
	// (MQTT 5 section 3.1.2.11.2), in seconds; 4294967295 is without end. It has no
	// meaning with CleanStart, nor in MQTT 3.1.1.
	SessionExpiry uint32
	// Username and Password are each sent if they are not empty. MQTT 3.1.1 has no
	// Password without a Username ([MQTT-3.1.2-22]).
	Username, Password string
	// LoginFrom says in errors where Username and Password come from. It is empty if none
	// are configured.
	LoginFrom string
	// Will is published by the server when the connection is lost (section 3.1.2.5).
	Will *packet.Will
	// KeepAlive is in whole seconds, from 1 to 65535 (section 3.1.2.10). A server may
	// set another one (MQTT 5 section 3.2.2.3.14).
	KeepAlive time.Duration
	// ConnectTimeout is for how long the server may be silent while the session
	// subscribes. 0 means for as long as the context lasts. The context of Open bounds
	// the time before.
	ConnectTimeout time.Duration
	// PingTimeout is how long a PINGREQ may stay unanswered.
	PingTimeout time.Duration
	// AckTimeout is how long the server may acknowledge nothing.
	AckTimeout time.Duration
	// Window is the most QoS 1 and 2 messages in flight, from 1 to
	// 65535: to the server, where its receive maximum is not lower. From the server 16
	// times as many may come unacknowledged, the bridge's own receive maximum (MQTT 5
	// section 3.1.2.11.3).
	Window int
	// PublishQoS is the highest QoS of the messages that are to be published, 0 to 2. A
	// server that takes a lower one falls short of it, see [Session.Shortfalls].
	PublishQoS byte
	// MaximumPacketSize is the size in bytes of the largest packet that is kept when it
	// comes (MQTT 5 section 3.1.2.11.4); larger messages are not buffered. 0 is no limit.
	MaximumPacketSize int
	// Fault, if not nil, is called with each packet that breaks the protocol and does not
	// end the session. It is called by the goroutine that reads and must not block.
	Fault func(Fault)
	// State is what is known of the session.
	State *State
}

// Open connects: name lookup, dial, TLS, CONNECT and CONNACK, all before the
// context's deadline. Nothing is read after the CONNACK until [Session.Start] is
// called. Errors are of type *[Error].
func Open(ctx context.Context, cfg Config) (*Session, error) {
	if err := cfg.State.refused(); err != nil {
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
	if !cfg.BridgeBit || cfg.Version != packet.V311 {
		s := newSession(cfg, false)
		if err := s.connect(ctx); err != nil {
			return nil, err
		}
		return s, nil
	}
	return withoutEcho(openAsBridge(ctx, cfg))
}

func newSession(cfg Config, bridgeBit bool) *Session {
	cfg.BridgeBit = bridgeBit
	s := &Session{
		cfg:     cfg,
		state:   cfg.State,
		version: cfg.Version,
		acks:    make(chan packet.Suback, maxSubscribes),
		gone:    make(chan struct{}),
		done:    make(chan struct{}),
		renewal: make(chan struct{}),

		released: make(chan struct{}, 1),
	}
	s.written.L = &s.state.mu
	return s
}

// connect connects and does CONNECT and CONNACK (sections 3.1 and 3.2).
func (s *Session) connect(ctx context.Context) error {
	s.conn = &wire{limit: s.cfg.MaximumPacketSize}
	dial := s.cfg.Transport
	dial.Wrap = func(tcp *net.TCPConn) net.Conn {
		s.conn.socket = newSocket(tcp, s.cfg.AckTimeout)
		return s.conn.socket
	}
	conn, err := transport.Dial(ctx, dial)
	if err != nil {
		return err
	}
	s.conn.Conn, s.asked = conn, true
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the read below
	ack, err := s.handshake()
	if !stop() && err == nil { // the context ended meanwhile
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // the error to report is the one before
		return s.connectError(ctx, err)
	}
	s.server = ack
	if ack.Code != 0 {
		_ = conn.Close() // likewise
		return s.refusal(ack)
	}
	s.accept()
	return nil
}

// receiveWindows is how many windows a server may send and not have acknowledged. It
// bounds what is held. It is more than one, so that the server's own limit, of 20 to
// 2,000 messages, is the lower one: Mosquitto 2.0.11 exceeds a receive maximum that is
// lower than its max_inflight_messages, and then sends messages out of order after a
// reconnect.
const receiveWindows = 16

func (s *Session) handshake() (packet.Connack, error) {
	c := packet.Connect{
		Version:    s.version,
		Bridge:     s.cfg.BridgeBit,
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
	// Where the write fails, the server may still have said why: a TLS alert.
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
			if err := s.conn.fill(); err != nil {
				if failed != nil && transport.Alert(err) == nil {
					err = failed
				}
				return packet.Connack{}, err
			}
		case f.Type == packet.AUTH:
			return packet.Connack{}, protocolError(codeBadAuthentication, "an AUTH packet: it asks for enhanced authentication, which the bridge does not do")
		case f.Type != packet.CONNACK: // [MQTT-3.2.0-1]
			return packet.Connack{}, s.notMQTTError(s.conn.buf[:s.conn.to]) // more likely than a server that does so
		default:
			return packet.DecodeConnack(s.version, f.Body)
		}
	}
}

// accept applies what the server announces in CONNACK.
func (s *Session) accept() {
	ack := &s.server
	s.resumed = ack.SessionPresent
	if s.resumed && (s.cfg.CleanStart || s.cfg.Discard) { // against [MQTT-3.2.2-2], [MQTT-3.2.2-1] of 3.1.1
		s.resumed = false
		ack.Mistakes = append(ack.Mistakes, "a session, though a new one was asked for; treated as unknown")
	}
	s.keepAlive = s.cfg.KeepAlive
	if ack.HasServerKeepAlive && ack.ServerKeepAlive > 0 { // [MQTT-3.1.2-21]
		s.keepAlive = min(s.keepAlive, time.Duration(ack.ServerKeepAlive)*time.Second)
	}
	if ack.TopicAliasMaximum > 0 {
		s.aliases = map[string]uint16{}
	}
	s.limit = min(s.cfg.Window, int(ack.ReceiveMaximum))
	s.state.begin(s.resumed)
	if ack.SessionPresent && !s.resumed {
		// It might hold anything: messages that it sends again, and QoS 2 messages under
		// identifiers that are free here, as a session of an earlier process does.
		s.state.forget()
		s.state.begin(true)
	}
	s.now = time.Now()
	s.sent = s.now
}
