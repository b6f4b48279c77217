// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	v311 "github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// patience is the time that a test waits for an expected event.
const patience = 10 * time.Second

// recorder is an application layer that records all events, and receives violations.
type recorder struct {
	mu         sync.Mutex
	events     []string
	violations chan string
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *recorder) Arrived(_ *Server, p *Packet)               { r.note("arrived %s", p.Payload) }
func (r *recorder) Refused(_ *Server, p *Packet)               { r.note("refused %s", p.Payload) }
func (r *recorder) Sent(*Server, *Message)                     {}
func (r *recorder) Acknowledged(_ *Server, m *Message)         { r.note("taken %s", m.Payload) }
func (r *recorder) SessionDropped(_ *Server, m *Message)       { r.note("forgotten %s", m.Payload) }
func (r *recorder) Connected(*Server, *Connect, *Limits, bool) {}

// start starts a server. All its connections have the same plan.
func start(t *testing.T, plan Plan, change func(c *Config)) (*Server, *recorder) {
	t.Helper()
	r := &recorder{violations: make(chan string, 10)}
	c := Config{
		Name: "server", Address: mqtttest.FreeAddress(t), App: r,
		Plan:   func(int, *Connect) Plan { return plan },
		Report: func(v Violation) { r.violations <- v.Text },
	}
	if change != nil {
		change(&c)
	}
	s := New(c)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(false) })
	return s, r
}

// client is a client that sends bytes. It reads with the codecs of the paho clients.
type client struct {
	t       *testing.T
	conn    net.Conn
	r       *bufio.Reader
	version byte
}

func dial(t *testing.T, s *Server, version byte) *client {
	t.Helper()
	conn, err := net.Dial("tcp", s.cfg.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: conn, r: bufio.NewReader(conn), version: version}
}

func (c *client) send(packets ...[]byte) {
	c.t.Helper()
	if _, err := c.conn.Write(bytes.Join(packets, nil)); err != nil {
		c.t.Fatal(err)
	}
}

// next reads a packet and formats it.
func (c *client) next() string {
	c.t.Helper()
	if c.version == V5 {
		p, err := v5.ReadPacket(c.r)
		if err != nil {
			return err.Error()
		}
		if m, ok := p.Content.(*v5.Publish); ok {
			return fmt.Sprintf("PUBLISH %d qos%d dup=%t %s", m.PacketID, m.QoS, m.Duplicate, m.Payload)
		}
		if m, ok := p.Content.(*v5.Pubcomp); ok {
			return fmt.Sprintf("PUBCOMP %d", m.PacketID)
		}
		return strings.TrimSuffix(fmt.Sprintf("%s %d", names[p.Type], p.PacketID()), " 0")
	}
	p, err := v311.ReadPacket(c.r)
	if err != nil {
		return err.Error()
	}
	if m, ok := p.(*v311.PublishPacket); ok {
		return fmt.Sprintf("PUBLISH %d qos%d dup=%t %s", m.MessageID, m.Qos, m.Dup, m.Payload)
	}
	if m, ok := p.(*v311.ConnackPacket); ok {
		return fmt.Sprintf("CONNACK present=%t", m.SessionPresent)
	}
	for i, name := range names {
		if strings.HasPrefix(p.String(), name+":") && i > 0 {
			return strings.TrimSuffix(fmt.Sprintf("%s %d", name, p.Details().MessageID), " 0")
		}
	}
	return p.String()
}

func (c *client) want(packets ...string) {
	c.t.Helper()
	for _, want := range packets {
		if got := c.next(); got != want {
			c.t.Fatalf("%s, want %s", got, want)
		}
	}
}

// Packets of clients. The only property that connect sets is the session expiry.
func connect(version byte, clean bool) []byte {
	body := append([]byte("\x00\x04MQTT"), version, 0, 0, 0)
	if clean {
		body[7] = 2
	}
	if version == V5 {
		body = append(body, 5, propSessionExpiry, 0, 0, 1, 0)
	}
	return frame(CONNECT<<4, append(body, "\x00\x01c"...))
}

func publish(version, qos, flags byte, id uint16, payload string) []byte {
	b := encodePublish(version, &Packet{QoS: qos, ID: id, Topic: "t", Payload: payload}, nil)
	b[0] |= flags
	return b
}

func ack(packetType byte, id uint16) []byte { return encodeAck(V311, packetType, id, 0) }

func subscribe(version byte) []byte {
	body := []byte{0, 99}
	if version == V5 {
		body = append(body, 0)
	}
	return frame(SUBSCRIBE<<4|2, append(body, "\x00\x01d\x02"...))
}
