// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// Server is the process of an MQTT server other than Mosquitto. It has one plain listener, which
// accepts clients without a password.
type Server struct {
	Name string

	t       testing.TB
	address string
	timeout time.Duration
	command []string
	process *process
}

// StartServer starts a server that listens at host:port, and waits until it answers CONNECT. The
// timeout bounds a start and a stop. To set environment variables, use env as the program.
func StartServer(t testing.TB, name, hostPort string, timeout time.Duration, program string, args ...string) *Server {
	t.Helper()
	s := &Server{Name: name, t: t, address: hostPort, timeout: timeout, command: append([]string{program}, args...)}
	s.Start()
	return s
}

// StartProgram starts a program that a server needs. It ends with the test.
func StartProgram(t testing.TB, name, program string, args ...string) {
	t.Helper()
	startProcess(t, name, program, args...)
}

// URL returns the URL of the listener.
func (s *Server) URL() string { return "mqtt://" + s.address }

// Address returns the address of the listener.
func (s *Server) Address() string { return s.address }

// Dial connects to the listener.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return traffic.TCP(s.address)(ctx) }

// Source returns the server as a source for a collector.
func (s *Server) Source() traffic.Source { return traffic.Source{Name: s.Name, Dial: s.Dial} }

// Start starts the server again at the same address, with the state that it saved on disk.
func (s *Server) Start() {
	s.t.Helper()
	s.process = startProcess(s.t, s.Name, s.command[0], s.command[1:]...)
	Eventually(s.t, s.timeout, s.Name+" answers CONNECT", func() error {
		if !s.process.running() {
			s.t.Fatalf("%s ended during its start", s.Name)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return traffic.Ping(ctx, s.Dial, "ready")
	})
}

// Stop ends the server with SIGTERM and waits until it has ended.
func (s *Server) Stop() {
	s.t.Helper()
	s.process.signal(syscall.SIGTERM)
	s.process.wait(s.timeout)
}
