// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Inspection is what [Inspect] has found out about a server. After an error it has the facts of
// the steps that succeeded.
type Inspection struct {
	// Address is the network address of the server, or of the proxy if there is one. It is empty
	// if no connection was made.
	Address string
	// TLS is the state of the TLS connection. It is nil without TLS.
	TLS *tls.ConnectionState
	// Connack is the answer to CONNECT. It is nil if the server has sent none.
	Connack *packet.Connack
	// Connecting is the time from the start of the last attempt to CONNACK.
	Connecting time.Duration
	// RoundTrip is the time from PINGREQ to PINGRESP. It is 0 if the server has not answered.
	RoundTrip time.Duration
	// Remarks describe how the connection was made. They are valid if the server has accepted it.
	Remarks Remarks
	// Publish is the acknowledgement of the message. It is nil if none was sent, and at QoS 0.
	Publish *packet.Ack
}

// Inspect finds out how a server treats a client: it connects in a clean session as the bridge
// does, with the bridge flag if cfg has it, sends a PINGREQ, and disconnects, all before the
// context's deadline. It makes no subscription. If message is not nil, it also publishes this
// message, at the highest of its QoS that the server accepts, but at QoS 1 at most.
//
// cfg must have a ClientID that no other connection uses. cfg's State, Will, Gate and Discard are
// not used. Errors are of type *[Error] or *[transport.Error].
func Inspect(ctx context.Context, cfg Config, timeout time.Duration, message *Message) (Inspection, error) {
	var found Inspection
	cfg.CleanStart, cfg.Discard, cfg.Will, cfg.Gate, cfg.State = true, false, nil, nil, NewState()
	cfg.inspection = &found
	connecting, connected := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer connected()
	s, err := Open(connecting, cfg)
	if err != nil {
		return found, err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found.Remarks = s.Remarks()
	start := time.Now()
	if err := s.ping(ctx); err != nil {
		return found, err
	}
	found.RoundTrip = time.Since(start)
	if message != nil {
		found.Publish, err = s.publishOnce(ctx, message)
	}
	return found, err
}

// publishOnce publishes a message and waits until the server has handled it. It is for a session
// that is not started.
func (s *Session) publishOnce(ctx context.Context, m *Message) (*packet.Ack, error) {
	p := packet.Publish{Topic: m.Topic, Payload: m.Payload, QoS: min(m.QoS, s.server.MaximumQoS, 1), Retain: m.Retain && s.server.RetainAvailable}
	if p.QoS > 0 {
		p.ID = 1
	}
	s.write(func(b []byte) []byte { return packet.AppendPublish(b, s.version, &p) })
	if p.QoS == 0 {
		return nil, s.ping(ctx)
	}
	f, err := s.await(ctx, packet.PUBACK)
	if err != nil {
		return nil, publishError(f.Type, err)
	}
	ack, err := packet.DecodeAck(s.version, f)
	switch {
	case err != nil:
		return nil, &Error{Kind: ProtocolViolation, Detail: err.Error(), Err: err}
	case ack.ID != p.ID: // it acknowledges another message, so that the result of this message is unknown
		return nil, &Error{Kind: PublishOtherAnswer, Detail: fmt.Sprintf("PUBACK for the packet identifier %d instead of %d", ack.ID, p.ID)}
	}
	return &ack, nil
}

// publishError returns the error of [Session.await] as an error of a message instead of a ping. answer is
// the type of the packet that was received instead of PUBACK.
func publishError(answer packet.Type, err error) error {
	switch {
	case isKind(err, ProbeTimeout):
		return &Error{Kind: PublishTimeout, Err: err}
	case isKind(err, ProbeOtherAnswer):
		return &Error{Kind: PublishOtherAnswer, Detail: fmt.Sprintf("%s instead of PUBACK", answer)}
	}
	return err
}

// record records the facts about the connection of an attempt that has ended.
func (i *Inspection) record(s *Session) {
	if i == nil || s.conn.Conn == nil {
		return
	}
	*i = Inspection{Address: s.conn.RemoteAddr().String(), TLS: s.conn.TLS()}
	if s.server.ReceiveMaximum > 0 { // a decoded CONNACK has at least 1
		i.Connack, i.Connecting = &s.server, time.Since(s.conn.start)
	}
}
