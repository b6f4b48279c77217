// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// narrow relays a connection to a server. It forwards the client's data in pieces of 1 KB,
// one per tick, and buffers little of it, as a slow link does.
func narrow(t *testing.T, target string, tick time.Duration) (addr string) {
	t.Helper()
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		})
		if err != nil {
			return err
		}
		return failed
	}}
	listener, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		go func() { _, _ = io.Copy(client, server) }()
		ticks := time.NewTicker(tick)
		defer ticks.Stop()
		piece := make([]byte, 1<<10)
		for range ticks.C {
			n, err := client.Read(piece)
			if err != nil {
				return
			}
			if _, err := server.Write(piece[:n]); err != nil {
				return
			}
		}
	}()
	return listener.Addr().String()
}

func TestSubscribe_SlowLinkToServer_ExtendsConnectTimeout(t *testing.T) {
	p := newPeer(t, packet.V5)
	p.cfg.ConnectTimeout = shortConnect
	p.cfg.Transport.HostPort = narrow(t, p.server.Addr(), shortConnect/16)
	conn, done := p.dial()
	conn.Next()
	conn.Send(script.Connack(false, nil))
	l := p.use(conn, <-done)
	subscriptions := many(64)
	for i := range subscriptions {
		subscriptions[i].Filter += strings.Repeat("x", 1000)
	}
	start := time.Now()
	subscribed := l.subscribing(subscriptions)
	var acks []script.Packet
	for range subscriptions {
		acks = append(acks, granted(l.c.Next()))
	}
	l.c.Send(acks...)
	if err := <-subscribed; err != nil || time.Since(start) < 3*shortConnect {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
