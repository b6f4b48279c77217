// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package script provides an MQTT server that a test controls packet by packet, over a real TCP
// connection. It simulates behaviour that real brokers cannot be made to show. Its codecs are the
// codecs of the two paho clients, so that they are independent of the tested codec.
//
// A wait that exceeds [Timeout] fails the test. The types are for the goroutine of the test
// itself.
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

// Timeout is the time that a test waits for an expected event.
const Timeout = 20 * time.Second

// Server listens for clients of one version of MQTT.
type Server struct {
	t        testing.TB
	version  byte
	listener *net.TCPListener
}

// Listen starts a server for protocol level 4, which is MQTT 3.1.1, or 5. It ends with the test.
func Listen(t testing.TB, version byte) *Server {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return &Server{t: t, version: version, listener: listener}
}

// Addr returns the host and port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Accept waits for a connection. The connection ends with the test.
func (s *Server) Accept() *Conn {
	s.t.Helper()
	if err := s.listener.SetDeadline(time.Now().Add(Timeout)); err != nil {
		s.t.Fatal(err)
	}
	c, err := s.TryAccept()
	if err != nil {
		s.t.Fatal("no client connects: ", err)
	}
	return c
}

// TryAccept waits for a client until the test ends.
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
		c.t.Fatal("want a packet, got ", err)
	}
	return p
}

// TryNext reads the next packet. It returns an error if the connection ends first.
func (c *Conn) TryNext() (Packet, error) {
	if err := c.SetReadDeadline(time.Now().Add(Timeout)); err != nil {
		return Packet{}, err
	}
	// paho.golang's codec does not accept a DISCONNECT without a reason code, which means reason
	// code 0 (MQTT 5 section 3.14.2.1).
	if first, err := c.in.Peek(2); err == nil && first[0] == v5.DISCONNECT<<4 && first[1] == 0 {
		_, err = c.in.Discard(2)
		return Packet{Type: v5.DISCONNECT}, err
	}
	return read(c.in, c.version)
}

// Want reads packets and compares them with the given ones.
func (c *Conn) Want(packets ...string) {
	c.t.Helper()
	for i, want := range packets {
		p, err := c.TryNext()
		if err != nil {
			c.t.Fatalf("want %.100s, got %v", want, err)
		}
		if got := p.String(); got != want {
			c.t.Fatalf("packet %d: %.100s, want %.100s", i+1, got, want)
		}
	}
}

// WantBoth reads two packets, which must be the given ones in any order.
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

// WantEnd reads the given packets and then the end of the connection.
func (c *Conn) WantEnd(packets ...string) {
	c.t.Helper()
	c.Want(packets...)
	p, err := c.TryNext()
	if err == nil {
		c.t.Fatalf("got %s, want the end of the connection", p)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the client does not end the connection")
	}
}

// Send writes packets in one call.
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

// SendBytes writes bytes that need not be a packet.
func (c *Conn) SendBytes(b string) {
	c.t.Helper()
	if _, err := c.Write([]byte(b)); err != nil {
		c.t.Fatal(err)
	}
}

// Connack returns a CONNACK that accepts the connection.
func Connack(sessionPresent bool, properties *v5.Properties) Packet {
	return Packet{Type: v5.CONNACK, SessionPresent: sessionPresent, Properties: properties}
}
