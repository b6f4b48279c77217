// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// sieve is an MQTT proxy in front of a server: it can discard and change packets of the server, and
// send packets in the name of the server.
type sieve struct {
	*mqtttest.FaultyServer
	target string

	mu      sync.Mutex // guards the fields below, and writes to clients
	clients map[net.Conn]bool
	edit    func(packet []byte) []byte // nil forwards all packets; an empty result discards the packet
}

// startSieve starts a sieve in front of host:port.
func startSieve(t testing.TB, target string) *sieve {
	t.Helper()
	s := &sieve{target: target, clients: map[net.Conn]bool{}}
	s.FaultyServer = mqtttest.StartFaulty(t, s.serve)
	return s
}

// change sets the function that edits the server's packets from now on. edit is not called
// concurrently.
func (s *sieve) change(edit func(packet []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edit = edit
}

// say sends bytes to all clients, as if the server had sent them.
func (s *sieve) say(packet string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		_, _ = io.WriteString(c, packet) // a client may have ended
	}
}

func (s *sieve) serve(client net.Conn) {
	server, err := net.Dial("tcp", s.target)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.clients[client] = true
	s.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	s.fromServer(client, bufio.NewReader(server))
	s.mu.Lock()
	delete(s.clients, client)
	s.mu.Unlock()
	_ = client.Close()
	_ = server.Close()
	up.Wait()
}

// fromServer forwards packets until one of the connections ends.
func (s *sieve) fromServer(client net.Conn, server *bufio.Reader) {
	for {
		packet, err := readPacket(server)
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.edit != nil {
			packet = s.edit(packet)
		}
		_, err = client.Write(packet)
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// readPacket reads a whole packet.
func readPacket(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	length, err := binary.ReadUvarint(r) // the length has the encoding of Uvarint
	if err != nil {
		return nil, err
	}
	packet := binary.AppendUvarint([]byte{first}, length)
	head := len(packet)
	packet = append(packet, make([]byte, length)...)
	_, err = io.ReadFull(r, packet[head:])
	return packet, err
}

// without returns a function that discards packets of the given types.
func without(types ...byte) func([]byte) []byte {
	return func(packet []byte) []byte {
		for _, t := range types {
			if packet[0]>>4 == t {
				return nil
			}
		}
		return packet
	}
}
