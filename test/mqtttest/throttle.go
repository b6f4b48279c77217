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

// ThrottleOptions configures the rate of a link.
type ThrottleOptions struct {
	// Up and Down are the rates to the server and from it, in bytes per second. 0 is unlimited.
	Up, Down int
	// Buffer is the size of the proxy's TCP buffers in bytes. 0 is the system's default.
	Buffer int
}

// Throttle is a slow link: a proxy that forwards TCP connections to a server at a limited rate per
// connection.
type Throttle struct {
	listener  net.Listener
	hole      atomic.Bool
	forwarded atomic.Int64 // time of the last write to the server, in nanoseconds since 1970
	wg        sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// throttleChunk is the largest number of bytes that the link forwards at once.
const throttleChunk = 4 << 10

// StartThrottle starts a slow link to host:port. It ends with the test.
func StartThrottle(t testing.TB, target string, o ThrottleOptions) *Throttle {
	t.Helper()
	l, _ := listen(t)
	if o.Buffer > 0 { // set before a window is announced, because TCP must not shrink windows
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

// URL returns the plain URL of the link.
func (p *Throttle) URL() string { return fmt.Sprintf("mqtt://%s", p.listener.Addr()) }

// BlackHole stops forwarding and reading permanently. It returns the current time.
func (p *Throttle) BlackHole() time.Time {
	p.hole.Store(true)
	return time.Now()
}

// Forwarded returns the time of the last write to the server.
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

// setBuffers sets the buffers of a connection, or of the connections that a listener accepts. The
// system rounds a size that it does not allow.
func (o ThrottleOptions) setBuffers(fd uintptr) {
	if o.Buffer > 0 {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, o.Buffer)
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, o.Buffer)
	}
}

// keep registers connections that are closed when the test ends. It returns false if the test has
// ended.
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
