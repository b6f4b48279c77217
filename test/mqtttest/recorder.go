// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Recorder forwards MQTT connections, 3.1.1 or 5, to a server, and records the packets of the clients.
// It also records the packets that a client sends after the server has ended the connection, which
// the server would not see.
type Recorder struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	// recording is false before the first call of Record.
	recording bool
	packets   []Recorded
}

// Recorded is a packet of a client.
type Recorded struct {
	// Type is the packet type, with the numbers of the packets package of paho.mqtt.golang.
	Type byte
	// ClientID is the client identifier of the connection.
	ClientID string
	// From is the IP address of the client.
	From string
	At   time.Time
}

// StartRecorder starts a recorder in front of a broker. It listens on the address on which the
// bridge's listener of the broker listens.
func StartRecorder(t testing.TB, broker *Broker) *Recorder {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(broker.host, strconv.Itoa(FreePort(t))))
	if err != nil {
		t.Fatal(err)
	}
	r := &Recorder{listener: l, target: broker.Address(), conns: map[net.Conn]bool{}}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

// URL returns the plain URL of the recorder.
func (r *Recorder) URL() string { return "mqtt://" + r.listener.Addr().String() }

// Record begins a new record.
func (r *Recorder) Record() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recording, r.packets = true, nil
}

// Packets returns the packets since the latest call of Record.
func (r *Recorder) Packets() []Recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.packets)
}

func (r *Recorder) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(client) })
	}
}

// serve forwards the packets of a connection until the client ends it. If the server ends it first, it
// ends the server's half only.
func (r *Recorder) serve(client net.Conn) {
	defer r.keep(client)()
	server, err := net.DialTimeout("tcp", r.target, closing)
	if err != nil {
		return
	}
	defer r.keep(server)()
	r.wg.Go(func() {
		_, _ = io.Copy(client, server)
		if half, ok := client.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	})
	r.forward(client, server)
}

// keep makes the end of the test close a connection. It returns a function that closes it before.
func (r *Recorder) keep(c net.Conn) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, c)
		_ = c.Close()
	}
}

// forward forwards and records the packets of a client. Packets that arrive together are forwarded
// together.
func (r *Recorder) forward(client, server net.Conn) {
	in := bufio.NewReader(client)
	var out []byte
	from, _, _ := net.SplitHostPort(client.RemoteAddr().String())
	clientID := ""
	for {
		packet, err := readPacket(in)
		out = append(out, packet...)
		if err == nil {
			if packet[0]>>4 == packets.Connect {
				clientID = clientIDOf(packet)
			}
			r.record(Recorded{packet[0] >> 4, clientID, from, time.Now()})
			if in.Buffered() > 0 {
				continue
			}
		}
		_, _ = server.Write(out) // if the server has ended the connection, the record goes on
		out = out[:0]
		if err != nil {
			return
		}
	}
}

func (r *Recorder) record(packet Recorded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recording {
		r.packets = append(r.packets, packet)
	}
}

// clientIDOf returns the client identifier of a CONNECT packet. It is empty if the packet is invalid.
func clientIDOf(connect []byte) string {
	field := func(data []byte) (value, rest []byte) { // a length of two bytes, and the value
		if len(data) < 2 {
			return nil, nil
		}
		n := min(2+int(binary.BigEndian.Uint16(data)), len(data))
		return data[2:n], data[n:]
	}
	// The remaining length and the length of the properties have the encoding of Uvarint.
	_, n := binary.Uvarint(connect[1:])
	_, rest := field(connect[1+n:]) // the name of the protocol
	const versionFlagsKeepAlive = 4
	if len(rest) < versionFlagsKeepAlive {
		return ""
	}
	version := rest[0]
	if rest = rest[versionFlagsKeepAlive:]; version == 5 {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return ""
		}
		rest = rest[n+int(length):]
	}
	id, _ := field(rest)
	return string(id)
}
