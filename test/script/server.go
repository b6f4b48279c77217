// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package script is an MQTT server that does what a test tells it, packet by packet,
// over a real TCP connection: what real brokers cannot be made to do. Its codecs are
// those of the two paho clients, so that they are not those of what is tested.
//
// It promises that a test fails instead of waiting for ever. It is for the test's own
// goroutine.
package script

import (
	"bufio"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
)

// Patience is how long a test waits for what has to happen.
const Patience = 20 * time.Second

// Server listens for clients of one version of MQTT.
type Server struct {
	t        testing.TB
	version  byte
	listener *net.TCPListener
}

// Listen starts a server of MQTT 4, which is 3.1.1, or 5. It ends with the test.
func Listen(t testing.TB, version byte) *Server {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return &Server{t: t, version: version, listener: listener}
}

// Addr is the host and port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Accept waits for a connection. It ends with the test.
func (s *Server) Accept() *Conn {
	s.t.Helper()
	if err := s.listener.SetDeadline(time.Now().Add(Patience)); err != nil {
		s.t.Fatal(err)
	}
	c, err := s.TryAccept()
	if err != nil {
		s.t.Fatal("no client connects: ", err)
	}
	return c
}

// TryAccept waits for a client, until the test is over.
func (s *Server) TryAccept() (*Conn, error) {
	conn, err := s.listener.AcceptTCP()
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &Conn{TCPConn: conn, t: s.t, version: s.version, in: bufio.NewReader(conn)}, nil
}

// Conn is the server's end of a connection.
type Conn struct {
	*net.TCPConn
	t       testing.TB
	version byte
	in      *bufio.Reader
}

// Next reads the next packet.
func (c *Conn) Next() Packet {
	c.t.Helper()
	p, err := c.TryNext()
	if err != nil {
		c.t.Fatal("instead of a packet: ", err)
	}
	return p
}

// TryNext reads the next packet, if there is one before the end.
func (c *Conn) TryNext() (Packet, error) {
	if err := c.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return Packet{}, err
	}
	// What paho.golang's codec does not take: a DISCONNECT without a reason code, which
	// stands for 0 (MQTT 5 section 3.14.2.1).
	if first, err := c.in.Peek(2); err == nil && first[0] == v5.DISCONNECT<<4 && first[1] == 0 {
		_, err = c.in.Discard(2)
		return Packet{Type: v5.DISCONNECT}, err
	}
	return read(c.in, c.version)
}

// Want reads packets, which must be these.
func (c *Conn) Want(packets ...string) {
	c.t.Helper()
	for i, want := range packets {
		p, err := c.TryNext()
		if err != nil {
			c.t.Fatalf("instead of %.100s: %v", want, err)
		}
		if got := p.String(); got != want {
			c.t.Fatalf("packet %d: %.100s, want %.100s", i+1, got, want)
		}
	}
}

// WantBoth reads two packets, which must be these in one order or the other.
func (c *Conn) WantBoth(a, b string) {
	c.t.Helper()
	p := c.Next()
	switch p.String() {
	case a:
		c.Want(b)
	case b:
		c.Want(a)
	default:
		c.t.Fatalf("%.100s, want %.100s or %.100s", p, a, b)
	}
}

// WantEnd reads until the client has ended the connection, which has to be after
// these packets.
func (c *Conn) WantEnd(packets ...string) {
	c.t.Helper()
	c.Want(packets...)
	p, err := c.TryNext()
	if err == nil {
		c.t.Fatalf("%s instead of the end", p)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the client does not end the connection")
	}
}

// Send writes packets at once.
func (c *Conn) Send(packets ...Packet) {
	c.t.Helper()
	c.SendBytes(c.Encode(packets...))
}

// Encode returns the bytes of packets.
func (c *Conn) Encode(packets ...Packet) string {
	c.t.Helper()
	var all []byte
	for i := range packets {
		b, err := packets[i].bytes(c.version)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, b...)
	}
	return string(all)
}

// SendBytes writes what need not be a packet.
func (c *Conn) SendBytes(b string) {
	c.t.Helper()
	if _, err := c.Write([]byte(b)); err != nil {
		c.t.Fatal(err)
	}
}

// Connack is a CONNACK that accepts.
func Connack(sessionPresent bool, properties *v5.Properties) Packet {
	return Packet{Type: v5.CONNACK, SessionPresent: sessionPresent, Properties: properties}
}
