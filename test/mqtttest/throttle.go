// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// ThrottleOptions say how slow a link is.
type ThrottleOptions struct {
	// Up and Down are the bytes per second to the server and from it. 0 is without bound.
	Up, Down int
	// Buffer is the size of the buffers of TCP in the proxy, in bytes. 0 is the system's.
	Buffer int
}

// Throttle is a slow link: a proxy that forwards TCP connections to a server at a
// bounded rate per connection.
type Throttle struct {
	listener  net.Listener
	hole      atomic.Bool
	forwarded atomic.Int64 // when bytes last went to the server, in nanoseconds
	wg        sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// throttleChunk is how many bytes go over at once.
const throttleChunk = 4 << 10

// StartThrottle starts a slow link to host:port. It ends with the test.
func StartThrottle(t testing.TB, target string, o ThrottleOptions) *Throttle {
	t.Helper()
	l, _ := listen(t)
	if o.Buffer > 0 { // before windows are announced: TCP must not take them back
		if err := control(l.(*net.TCPListener), o.setBuffers); err != nil {
			t.Fatal(err)
		}
	}
	p := &Throttle{listener: l}
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(client, target, o) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.closed = true
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

// URL of the link, plain.
func (p *Throttle) URL() string { return fmt.Sprintf("mqtt://%s", p.listener.Addr()) }

// BlackHole forwards nothing and takes nothing from now on.
func (p *Throttle) BlackHole() time.Time {
	p.hole.Store(true)
	return time.Now()
}

// Forwarded is when bytes last went to the server.
func (p *Throttle) Forwarded() time.Time { return time.Unix(0, p.forwarded.Load()) }

func (p *Throttle) serve(client net.Conn, target string, o ThrottleOptions) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return c.Control(o.setBuffers) }}
	server, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		_ = client.Close()
		return
	}
	if !p.keep(client, server) {
		return
	}
	var directions sync.WaitGroup
	directions.Go(func() { p.copy(server, client, o.Up, &p.forwarded) })
	directions.Go(func() { p.copy(client, server, o.Down, new(atomic.Int64)) })
	directions.Wait()
}

func control(c syscall.Conn, fn func(fd uintptr)) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(fn)
}

// setBuffers sets the buffers of a connection, or of those that a listener accepts. A size
// that the system does not allow is rounded.
func (o ThrottleOptions) setBuffers(fd uintptr) {
	if o.Buffer > 0 {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, o.Buffer)
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, o.Buffer)
	}
}

// keep has the connections closed when the test ends.
func (p *Throttle) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	if p.closed {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	return !p.closed
}

func (p *Throttle) copy(to, from net.Conn, rate int, forwarded *atomic.Int64) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, throttleChunk)
	due := time.Now()
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if now := time.Now(); due.Before(now) {
			due = now
		}
		if rate > 0 {
			due = due.Add(time.Duration(n) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(due))
		}
		for p.hole.Load() {
			time.Sleep(pollInterval)
			if !p.keep() {
				return
			}
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		forwarded.Store(time.Now().UnixNano())
	}
}
