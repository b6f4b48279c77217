// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	handshakeTimeout = 5 * time.Second
	reconnectPause   = 20 * time.Millisecond
	// maxCatchUp is the largest delay that a stream catches up on. After a longer delay it
	// continues from the current time, so that no flood follows an outage.
	maxCatchUp = time.Second
)

// run maintains a connection until the context ends.
func (p *Publisher) run(ctx context.Context) {
	defer close(p.done)
	for ctx.Err() == nil {
		err := p.connection(ctx)
		p.update(func() { p.failure = err })
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

// connection serves one connection until it fails.
func (p *Publisher) connection(ctx context.Context) error {
	conn, resumed, err := handshake(ctx, p.cfg.Dial, p.cfg.ClientID, false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	w := &writer{out: bufio.NewWriter(conn)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		cancel(p.readAcknowledgements(conn, w))
	}()
	err = p.resend(w, resumed)
	if err == nil {
		err = p.produce(ctx, w)
	}
	cancel(err)
	_ = conn.Close()
	<-read
	return context.Cause(ctx)
}

// resend writes all unacknowledged messages again, in order. A server that lost the session has
// also lost the messages for which it sent PUBREC; they are published again.
func (p *Publisher) resend(w *writer, resumed bool) error {
	p.mu.Lock()
	pending := append([]*outgoing(nil), p.pending...)
	for _, o := range pending {
		o.received = o.received && resumed
		if o.written && !o.received {
			p.resent[o.Seq]++
		}
	}
	p.mu.Unlock()
	for _, o := range pending {
		var err error
		if o.received {
			err = w.write(pubrel(packetID(o.Seq)))
		} else {
			err = p.send(w, o)
		}
		if err != nil {
			return err
		}
	}
	return w.flush()
}

// produce writes the stream at its rate, within the limits of the window.
func (p *Publisher) produce(ctx context.Context, w *writer) error {
	var interval time.Duration
	if p.cfg.Rate > 0 {
		interval = time.Second / time.Duration(p.cfg.Rate)
	}
	due := time.Now()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		now := time.Now()
		if now.Sub(due) > maxCatchUp {
			due = now
		}
		held := false // by the window or by the end of the stream
		for !held && !due.After(now) {
			o, ok := p.take()
			if held = !ok; held {
				break
			}
			if err := p.send(w, o); err != nil {
				return err
			}
			p.onWritten(o)
			due = due.Add(interval)
		}
		if err := w.flush(); err != nil {
			return err
		}
		var next <-chan time.Time
		if !held {
			changed, next = nil, time.After(time.Until(due))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-next:
		}
	}
}

func (p *Publisher) send(w *writer, o *outgoing) error {
	pub := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	pub.Qos, pub.Retain, pub.TopicName, pub.Payload = p.cfg.QoS, p.cfg.Retain, p.cfg.Topic, o.Encode(p.cfg.Size)
	if p.cfg.QoS > 0 {
		pub.MessageID = packetID(o.Seq)
		pub.Dup = o.written
	}
	o.written = true
	return w.write(pub)
}

func (p *Publisher) readAcknowledgements(conn net.Conn, w *writer) error {
	r := bufio.NewReader(conn)
	for {
		packet, err := packets.ReadPacket(r)
		if err != nil {
			return err
		}
		switch ack := packet.(type) {
		case *packets.PubackPacket:
			p.settle(ack.MessageID)
		case *packets.PubcompPacket:
			p.settle(ack.MessageID)
		case *packets.PubrecPacket:
			p.markReceived(ack.MessageID)
			err = w.write(pubrel(ack.MessageID))
			if err == nil {
				err = w.flush()
			}
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("unexpected %s", packet)
		}
	}
}

func pubrel(id uint16) *packets.PubrelPacket {
	rel := packets.NewControlPacket(packets.Pubrel).(*packets.PubrelPacket)
	rel.MessageID = id
	return rel
}

// handshake connects without keep alive and reports whether the server resumed a session.
func handshake(ctx context.Context, dial Dialer, clientID string, clean bool) (net.Conn, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := dial(ctx)
	if err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion = "MQTT", 4
	connect.ClientIdentifier, connect.CleanSession = clientID, clean
	if err := connect.Write(conn); err != nil {
		_ = conn.Close()
		return nil, false, err
	}
	packet, err := packets.ReadPacket(conn)
	if err != nil {
		_ = conn.Close()
		return nil, false, err
	}
	ack, ok := packet.(*packets.ConnackPacket)
	if !ok || ack.ReturnCode != packets.Accepted {
		_ = conn.Close()
		return nil, false, fmt.Errorf("refused: %s", packet)
	}
	return conn, ack.SessionPresent, nil
}

// Ping returns nil if the server answers CONNECT with success.
func Ping(ctx context.Context, dial Dialer, clientID string) error {
	conn, _, err := handshake(ctx, dial, clientID, true)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return packets.NewControlPacket(packets.Disconnect).Write(conn)
}

// writer serialises the writes of the stream and of the acknowledgements.
type writer struct {
	mu  sync.Mutex
	out *bufio.Writer
}

func (w *writer) write(p packets.ControlPacket) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return p.Write(w.out)
}

func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Flush()
}
