// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package session is one MQTT 3.1.1 session over one connection to one server.
//
// It promises:
//   - A session that has ended never comes back: [Session.Done] is closed once, and
//     [Session.Err] says why. Reconnecting is for those who choose the server.
//   - Messages are handed on in the order in which the server sent them, and none
//     is acknowledged before [Inbound.Ack]. An acknowledgement never reaches
//     another connection than the one its message came by.
//   - Publishes are acknowledged to the caller in the order in which they were
//     made. Where a QoS 1 or 2 publish stays unacknowledged, and no other is
//     acknowledged either, for the acknowledgement timeout, the session ends.
//   - Reads and writes are buffered.
//
// It is built on the paho client with that client's reconnecting, resending and
// automatic acknowledgements switched off. It knows nothing of other servers, of
// rules or of the other side.
package session

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Config says how to open a session.
type Config struct {
	// HostPort is dialled; every address that the host's name has is tried.
	HostPort string
	// TLS is nil for a plain connection.
	TLS *tls.Config
	// ClientID is the client identifier (MQTT 3.1.1 section 3.1.3.1).
	ClientID string
	// CleanSession is the Clean Session flag (section 3.1.2.4).
	CleanSession bool
	// Username and Password are sent where Username is not empty.
	Username, Password string
	// LoginFrom says in errors where Username and Password come from.
	LoginFrom string
	// KeepAlive is in whole seconds, from 1 to 65535 (section 3.1.2.10).
	KeepAlive time.Duration
	// PingTimeout is how long a PINGREQ may stay unanswered.
	PingTimeout time.Duration
	// AckTimeout is how long a publish may stay unacknowledged.
	AckTimeout time.Duration
	// Window is the most QoS 1 and 2 publishes that the caller leaves
	// unacknowledged.
	Window int
}

// Message is an application message to publish.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
}

// Inbound is a message that the server sent.
type Inbound struct {
	Message
	// PacketID is the packet identifier, 0 at QoS 0.
	PacketID uint16
	// Duplicate is the DUP flag (section 3.3.1.1).
	Duplicate bool

	session *Session
}

// Ack acknowledges the message to the server: PUBACK at QoS 1 (section 3.4), PUBREC
// at QoS 2 (section 3.5). It does not block. On a session that has ended it does
// nothing: nothing is written after [Session.Done] is closed.
func (in *Inbound) Ack() {
	header := byte(packets.Puback << 4)
	switch in.QoS {
	case 0:
		return
	case 2:
		header = packets.Pubrec << 4
	}
	// An error is the connection's, and ends the session by itself.
	_, _ = in.session.conn.Write(binary.BigEndian.AppendUint16([]byte{header, 2}, in.PacketID))
}

// Subscription is a topic filter and the highest QoS at which the server is to
// send what matches it.
type Subscription struct {
	Filter string
	QoS    byte
}

// Session is an open session. Its methods may be called from any goroutine, but
// Publish from one at a time.
type Session struct {
	cfg     Config
	client  mqtt.Client
	conn    *bufferedConn
	resumed bool
	opened  chan struct{} // closed when CONNACK is in, or will not be
	waiting chan publish  // published and not acknowledged, in order

	receiving chan struct{} // closed when onMessage is set
	onMessage func(*Inbound)

	once sync.Once
	done chan struct{}
	err  error
}

// publish is a QoS 1 or 2 message on its way.
type publish struct {
	token mqtt.Token
	sent  time.Time
	acked func()
}

// Open connects: name lookup, dial, TLS, CONNECT and CONNACK, all before the
// context's deadline. Messages wait until [Session.Receive] is called. Errors are of
// type *[Error].
func Open(ctx context.Context, cfg Config) (*Session, error) {
	s := &Session{
		cfg:       cfg,
		opened:    make(chan struct{}),
		waiting:   make(chan publish, cfg.Window),
		receiving: make(chan struct{}),
		done:      make(chan struct{}),
	}
	conn, err := dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.conn = newBufferedConn(conn, cfg.AckTimeout, s.connFailed)
	s.client = mqtt.NewClient(s.options(ctx))
	stop := context.AfterFunc(ctx, s.conn.abort)
	token, _ := s.client.Connect().(*mqtt.ConnectToken)
	<-token.Done()
	s.resumed = token.SessionPresent()
	close(s.opened)
	if err := token.Error(); err != nil {
		err = s.connectError(ctx, token.ReturnCode(), err)
		stop()
		s.end(err)
		return nil, err
	}
	if !stop() { // the context ended meanwhile
		s.end(s.connectError(ctx, packets.ErrNetworkError, ctx.Err()))
		return nil, s.err
	}
	go s.awaitAcks()
	go s.watch()
	return s, nil
}

const (
	// clientTimeout is how long the client may take to notice that its connection
	// has ended. While that stands it takes no time: writes are buffered.
	clientTimeout = 2 * time.Second
	// unused is for a timeout of the client's that watch takes the place of.
	unused = 24 * time.Hour
)

func (s *Session) options(ctx context.Context) *mqtt.ClientOptions {
	opts := mqtt.NewClientOptions().
		AddBroker("tcp://" + s.cfg.HostPort). // not dialled: the connection is there
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return s.conn, nil }).
		SetProtocolVersion(4).
		SetClientID(s.cfg.ClientID).
		SetCleanSession(s.cfg.CleanSession).
		SetKeepAlive(s.cfg.KeepAlive).
		SetPingTimeout(unused).
		SetWriteTimeout(clientTimeout).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetAutoAckDisabled(true).
		SetOrderMatters(true).
		SetStore(noStore{}).
		SetDefaultPublishHandler(s.received).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.end(lostError(err)) })
	if deadline, ok := ctx.Deadline(); ok {
		opts.SetConnectTimeout(time.Until(deadline))
	}
	if s.cfg.Username != "" {
		opts.SetUsername(s.cfg.Username).SetPassword(s.cfg.Password)
	}
	return opts
}

// dial opens the connection. The dialer looks the name up afresh and tries every
// address.
func dial(ctx context.Context, cfg Config) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", cfg.HostPort)
	if err != nil {
		return nil, dialError(ctx, err)
	}
	if cfg.TLS == nil {
		return conn, nil
	}
	secure := tls.Client(conn, cfg.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error is the one to tell
		return nil, tlsError(ctx, err)
	}
	return secure, nil
}

// Resumed reports whether the server had kept the session (Session Present,
// section 3.2.2.2).
func (s *Session) Resumed() bool { return s.resumed }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session has ended. It is nil before, and after [Session.Close].
func (s *Session) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Subscribe subscribes and waits for the SUBACK. Where the server refuses one of
// the filters the error names it.
func (s *Session) Subscribe(ctx context.Context, subscriptions []Subscription) error {
	if len(subscriptions) == 0 {
		return nil
	}
	filters := make(map[string]byte, len(subscriptions))
	for _, sub := range subscriptions {
		filters[sub.Filter] = sub.QoS
	}
	s.conn.guard.filters.Store(int32(len(filters))) //nolint:gosec // at most 64
	answer := make(chan *mqtt.SubscribeToken, 1)
	go func() { // it blocks for clientTimeout where the connection is ending
		token, _ := s.client.SubscribeMultiple(filters, nil).(*mqtt.SubscribeToken)
		<-token.Done()
		answer <- token
	}()
	var token *mqtt.SubscribeToken
	select {
	case token = <-answer:
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return s.connectError(ctx, packets.ErrNetworkError, ctx.Err())
	}
	if err := token.Error(); err != nil {
		return s.clientFailed(err)
	}
	for _, sub := range subscriptions {
		code, ok := token.Result()[sub.Filter]
		switch {
		case !ok:
			return &Error{v1alpha1.ReasonProtocolError, fmt.Sprintf("the server did not answer the subscription to %q", sub.Filter), nil}
		case code == subackFailure:
			return &Error{v1alpha1.ReasonSubscriptionRefused, fmt.Sprintf("the server refuses the subscription to %q; allow the bridge's user to read it, or change the rule's filter", sub.Filter), nil}
		}
	}
	return nil
}

// subackFailure is the SUBACK return code of a refused filter (section 3.9.3).
const subackFailure = 0x80

// Publish sends a message. It blocks while much is still to be written. At QoS 1 and
// 2 acked is called, in order, when the server has acknowledged the message: PUBACK,
// or PUBCOMP. At QoS 0 it is called when the message is on its way, before Publish
// returns. Where the session ends first it is never called.
func (s *Session) Publish(m *Message, acked func()) error {
	s.conn.waitForRoom()
	token := s.client.Publish(m.Topic, m.QoS, m.Retain, m.Payload)
	if m.QoS > 0 {
		select {
		case s.waiting <- publish{token, time.Now(), acked}:
			return nil
		case <-s.done:
			return s.err
		}
	}
	select {
	case <-token.Done():
	case <-s.done:
		return s.err
	}
	if err := token.Error(); err != nil {
		return s.clientFailed(err)
	}
	acked()
	return nil
}

// clientFailed ends the session where the client has given up, for the reason that
// the connection gives, if it gives one soon.
func (s *Session) clientFailed(err error) error {
	timer := time.NewTimer(clientTimeout)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		s.end(lostError(err))
	}
	return s.err
}

// awaitAcks waits for the acknowledgement of one publish after the other.
func (s *Session) awaitAcks() {
	var acknowledged time.Time
	for {
		var p publish
		select {
		case p = <-s.waiting:
		case <-s.done:
			return
		}
		select {
		case <-p.token.Done():
		default:
			if !s.awaitAck(&p, acknowledged) {
				return
			}
			acknowledged = time.Now()
		}
		if err := p.token.Error(); err != nil {
			_ = s.clientFailed(err)
			return
		}
		p.acked()
	}
}

// awaitAck waits until p is acknowledged. It ends the session, and reports false,
// where the server acknowledges nothing for the acknowledgement timeout. It may be
// slow with many messages, and the link with large ones, but not silent.
func (s *Session) awaitAck(p *publish, acknowledged time.Time) bool {
	timer := time.NewTimer(s.cfg.AckTimeout - time.Since(latest(p.sent, acknowledged)))
	defer timer.Stop()
	for {
		select {
		case <-p.token.Done():
			return true
		case <-s.done:
			return false
		case <-timer.C:
		}
		left := s.cfg.AckTimeout - time.Since(latest(p.sent, acknowledged, s.conn.strained()))
		if left <= 0 {
			s.end(&Error{v1alpha1.ReasonAckTimeout, fmt.Sprintf("the server has acknowledged no message for %v", s.cfg.AckTimeout), nil})
			return false
		}
		timer.Reset(left)
	}
}

// Receive has every message of the session handed to onMessage, in order, from one
// goroutine, also after the session has ended. It must not block. It is to be
// called once, and before Subscribe.
func (s *Session) Receive(onMessage func(*Inbound)) {
	s.onMessage = onMessage
	close(s.receiving)
}

// received hands a message on. The client calls it in order.
func (s *Session) received(_ mqtt.Client, m mqtt.Message) {
	select {
	case <-s.receiving:
	default:
		select {
		case <-s.receiving:
		case <-s.done:
			return // ended before it was used; the server keeps the message
		}
	}
	s.onMessage(&Inbound{
		Message:   Message{Topic: m.Topic(), Payload: m.Payload(), QoS: m.Qos(), Retain: m.Retained()},
		PacketID:  m.MessageID(),
		Duplicate: m.Duplicate(),
		session:   s,
	})
}

// Close ends the session with a DISCONNECT, after what has been written. It takes
// as long as the server needs to read it, 1.5 seconds at most.
func (s *Session) Close() {
	s.once.Do(func() {
		s.client.Disconnect(uint(3 * closeTimeout / time.Millisecond))
		s.conn.abort()
		close(s.done)
	})
}

func (s *Session) connFailed(err error) {
	select {
	case <-s.opened:
		s.end(lostError(err))
	default: // Open tells it
	}
}

// end ends the session. Nothing is sent after Done is closed.
func (s *Session) end(err error) {
	s.once.Do(func() {
		s.err = err
		s.conn.abort()
		close(s.done)
	})
}
