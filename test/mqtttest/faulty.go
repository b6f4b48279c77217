// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// FaultyServer is a TCP listener with the behaviour of a faulty MQTT server.
type FaultyServer struct {
	listener net.Listener
	accepted atomic.Int64
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// Fault is the behaviour of a FaultyServer on one connection. The connection is closed when the
// function returns.
type Fault func(net.Conn)

// CloseImmediately closes the connection immediately.
func CloseImmediately(net.Conn) {}

// NeverAnswer reads and never answers.
func NeverAnswer(c net.Conn) {
	buf := make([]byte, 1024)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// AcceptThenClose answers CONNECT with success, and closes the connection.
func AcceptThenClose(c net.Conn) {
	if _, err := packets.ReadPacket(c); err != nil {
		return
	}
	_ = packets.NewControlPacket(packets.Connack).Write(c)
}

// AnswerNonMQTT answers with data that is not MQTT.
func AnswerNonMQTT(c net.Conn) {
	_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	NeverAnswer(c)
}

// StartFaulty starts a server with the given fault.
func StartFaulty(t testing.TB, fault Fault) *FaultyServer {
	t.Helper()
	l, _ := listen(t)
	s := &FaultyServer{listener: l}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() {
				defer func() { _ = c.Close() }()
				fault(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

// URL returns the plain URL of the server.
func (s *FaultyServer) URL() string { return "mqtt://" + s.listener.Addr().String() }

// Accepted returns the number of accepted connections.
func (s *FaultyServer) Accepted() int { return int(s.accepted.Load()) }
