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

// Server is the process of an MQTT server that is not a Mosquitto. It has one
// listener, plain, which takes clients without a password, too.
type Server struct {
	Name string

	t       testing.TB
	address string
	patient time.Duration
	command []string
	process *process
}

// StartServer starts a server that is to listen at host:port and waits until it
// answers CONNECT, for so long as a start or a stop of it may take. For variables
// of its environment let the program be env.
func StartServer(t testing.TB, name, hostPort string, patient time.Duration, program string, args ...string) *Server {
	t.Helper()
	s := &Server{Name: name, t: t, address: hostPort, patient: patient, command: append([]string{program}, args...)}
	s.Start()
	return s
}

// StartProgram starts a program that a server needs. It ends with the test.
func StartProgram(t testing.TB, name, program string, args ...string) {
	t.Helper()
	startProcess(t, name, program, args...)
}

// URL of the listener.
func (s *Server) URL() string { return "mqtt://" + s.address }

// Address of the listener.
func (s *Server) Address() string { return s.address }

// Dial connects to the listener.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return traffic.TCP(s.address)(ctx) }

// Source is the server as a collector's source.
func (s *Server) Source() traffic.Source { return traffic.Source{Name: s.Name, Dial: s.Dial} }

// Start starts the server again at the same address, with what it kept on disk.
func (s *Server) Start() {
	s.t.Helper()
	s.process = startProcess(s.t, s.Name, s.command[0], s.command[1:]...)
	Eventually(s.t, s.patient, s.Name+" answers CONNECT", func() error {
		if !s.process.running() {
			s.t.Fatalf("%s ended at once", s.Name)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return traffic.Ping(ctx, s.Dial, "ready")
	})
}

// Stop ends the server with SIGTERM and waits for it.
func (s *Server) Stop() {
	s.t.Helper()
	s.process.signal(syscall.SIGTERM)
	s.process.wait(s.patient)
}
