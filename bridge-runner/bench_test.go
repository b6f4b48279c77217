// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// BenchmarkBridge forwards a message of 128 bytes from one server to the other: session,
// pipe, session over loopback sockets, with all acknowledgements. The servers run in the
// same process, so their time is measured too; they allocate nothing per message.
func BenchmarkBridge(b *testing.B) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for qos := range byte(3) {
			b.Run(fmt.Sprintf("version=%d/qos=%d", v, qos), func(b *testing.B) { benchmarkBridge(b, v, qos, delivery.Options{}) })
		}
	}
}

const benchWindow = 256

func benchmarkBridge(b *testing.B, v packet.Version, qos byte, opts delivery.Options) {
	rules, err := manifest.Rules([]v1alpha1.Rule{{Filter: "#", QoS: ptr.To[int32](2)}})
	if err != nil {
		b.Fatal(err)
	}
	meter := report.NewMetrics().Meter(report.LocalToRemote, rules, slog.New(slog.DiscardHandler))
	pipe, back := delivery.New(rules, meter, opts), delivery.New(nil, meter, delivery.Options{})
	var (
		from, to sideSessions
		flusher  session.Flusher
		echoes   echoDetectors
	)
	quiet := newNotifier(config.Notifications{}, &flusher, slog.New(slog.DiscardHandler))
	near := side{out: pipe, in: back, sessions: &from, flusher: &flusher, notifier: quiet, echoes: &echoes.local, otherEchoes: &echoes.remote}
	far := side{out: back, in: pipe, sessions: &to, flusher: &flusher, notifier: quiet, echoes: &echoes.remote, otherEchoes: &echoes.local}

	window := make(chan struct{}, benchWindow)
	if qos == 0 {
		window = make(chan struct{}, 32*benchWindow) // large enough that no message is dropped
	}
	sink := newBenchServer(b, window)
	out := sink.open(b, v, far)
	pipe.Up(out)
	source := newBenchServer(b, window)
	source.open(b, v, near)

	var working sync.WaitGroup
	defer working.Wait()
	defer func() { _, _ = source.conn.Close(), sink.conn.Close() }()
	b.ReportAllocs()
	b.SetBytes(128)
	b.ResetTimer()
	arrived, acknowledged := make(chan struct{}), make(chan struct{})
	working.Go(func() { sink.receive(qos, b.N, arrived) })
	working.Go(func() { source.readAcks(v, qos, b.N, acknowledged) })
	source.publish(v, qos, b.N)
	<-arrived
	<-acknowledged
	b.StopTimer()
}

// benchServer is the server's end of a connection, with the least code that MQTT needs.
type benchServer struct {
	listener net.Listener
	conn     net.Conn
	in       *bufio.Reader
	window   chan struct{} // holds one token per unacknowledged message; both servers share it
	body     []byte
}

func newBenchServer(b *testing.B, window chan struct{}) *benchServer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	return &benchServer{listener: listener, window: window, body: make([]byte, 4096)}
}

func (x *benchServer) open(b *testing.B, v packet.Version, use side) *session.Session {
	opened := make(chan *session.Session, 1)
	go func() {
		s, err := session.Open(b.Context(), session.Config{
			Transport: transport.Config{HostPort: x.listener.Addr().String(), DelayReads: true}, Version: v, ClientID: "x", State: session.NewState(),
			KeepAlive: time.Hour, PingTimeout: time.Hour, AckTimeout: time.Hour, Window: benchWindow, Flusher: use.flusher,
		})
		if err != nil {
			b.Error(err)
		}
		opened <- s
	}()
	conn, err := x.listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	x.conn, x.in = conn, bufio.NewReaderSize(conn, 64<<10)
	if _, _, err := x.next(); err != nil { // CONNECT
		b.Fatal(err)
	}
	connack := "\x20\x02\x00\x00"
	if v == packet.V5 {
		connack = "\x20\x03\x00\x00\x00"
	}
	if _, err := io.WriteString(conn, connack); err != nil {
		b.Fatal(err)
	}
	s := <-opened
	if s == nil {
		b.FailNow()
	}
	s.Start(use.NewSession(s))
	b.Cleanup(s.Close)
	return s
}

// next reads a packet. body is valid until the next call.
func (x *benchServer) next() (first byte, body []byte, err error) {
	if first, err = x.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(x.in) // MQTT encodes the length in the same way
	if err != nil {
		return 0, nil, err
	}
	body = x.body[:length]
	_, err = io.ReadFull(x.in, body)
	return first, body, err
}

// receive reads n messages and acknowledges them. It writes the acknowledgements of all
// buffered messages at once.
func (x *benchServer) receive(qos byte, n int, done chan<- struct{}) {
	defer close(done)
	var answers []byte
	for n > 0 {
		first, body, err := x.next()
		if err != nil {
			return
		}
		switch packet.Type(first >> 4) {
		case packet.PUBLISH:
			id := body[2+binary.BigEndian.Uint16(body):]
			switch qos {
			case 0:
				n--
				<-x.window
			case 1:
				n--
				answers = append(answers, byte(packet.PUBACK)<<4, 2, id[0], id[1])
			default:
				answers = append(answers, byte(packet.PUBREC)<<4, 2, id[0], id[1])
			}
		case packet.PUBREL:
			n--
			answers = append(answers, byte(packet.PUBCOMP)<<4, 2, body[0], body[1])
		default:
		}
		if x.in.Buffered() == 0 || n == 0 {
			if _, err := x.conn.Write(answers); err != nil {
				return
			}
			answers = answers[:0]
		}
	}
}

// publish publishes n messages. It waits while the window is full.
func (x *benchServer) publish(v packet.Version, qos byte, n int) {
	const chunk = 16 << 10
	m := packet.Publish{Topic: "plant/line1/sensor", Payload: string(make([]byte, 128)), QoS: qos}
	var out []byte // whole packets, because readAcks writes PUBRELs to the same connection
	flush := func() {
		_, _ = x.conn.Write(out) // after a failure the other goroutines end, too
		out = out[:0]
	}
	for i := range n {
		select {
		case x.window <- struct{}{}:
		default:
			flush()
			x.window <- struct{}{}
		}
		if qos > 0 {
			m.ID = uint16(1 + i%65535)
		}
		if out = packet.AppendPublish(out, v, &m); len(out) >= chunk {
			flush()
		}
	}
	flush()
}

// readAcks reads the acknowledgements of n messages, and answers PUBRECs with PUBRELs.
func (x *benchServer) readAcks(v packet.Version, qos byte, n int, done chan<- struct{}) {
	defer close(done)
	if qos == 0 {
		return
	}
	var answers []byte
	for n > 0 {
		first, body, err := x.next()
		if err != nil {
			return
		}
		switch packet.Type(first >> 4) {
		case packet.PUBACK, packet.PUBCOMP:
			n--
			<-x.window
		case packet.PUBREC:
			answers = packet.AppendAck(answers, v, packet.Ack{Type: packet.PUBREL, ID: binary.BigEndian.Uint16(body)})
		default:
		}
		if len(answers) > 0 && x.in.Buffered() == 0 {
			if _, err := x.conn.Write(answers); err != nil {
				return
			}
			answers = answers[:0]
		}
	}
}
