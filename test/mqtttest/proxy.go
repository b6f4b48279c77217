// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy forwards TCP connections to a broker, with a delay in each direction that does not limit
// the rate. It can become a black hole.
type Proxy struct {
	t        testing.TB
	listener net.Listener
	target   string
	delay    time.Duration

	// holes are the black holes for the data to the client, and to the target.
	holes    [2]atomic.Bool
	accepted atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// StartProxy starts a proxy in front of host:port. The delay is one way: the round trip grows by
// twice the delay.
func StartProxy(t testing.TB, target string, delay time.Duration) *Proxy {
	t.Helper()
	l, _ := listen(t)
	p := &Proxy{t: t, listener: l, target: target, delay: delay, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

// URL returns the plain URL of the proxy.
func (p *Proxy) URL() string { return "mqtt://" + p.listener.Addr().String() }

// Accepted returns the number of accepted connections.
func (p *Proxy) Accepted() int { return int(p.accepted.Load()) }

// BlackHole turns the black hole on or off. While it is on, connections stay open and new ones are
// accepted, but the proxy forwards nothing. It forwards the data received meanwhile when it is
// turned off.
func (p *Proxy) BlackHole(on bool) {
	p.BlackHoleTo(Client, on)
	p.BlackHoleTo(Target, on)
}

// End is an end of the connections of a Proxy.
type End int

// Ends of connections.
const (
	Client End = iota
	Target
)

// BlackHoleTo is like BlackHole, for the data to one end.
func (p *Proxy) BlackHoleTo(to End, on bool) { p.holes[to].Store(on) }

// Cut ends all connections with RST.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		p.keep(client)
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer p.drop(client)
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		return
	}
	p.keep(server)
	defer p.drop(server)
	var directions sync.WaitGroup
	ends := [2]net.Conn{client, server}
	for _, to := range []End{Client, Target} {
		directions.Go(func() {
			p.copy(ends[to], ends[1-to], &p.holes[to])
			_ = client.Close()
			_ = server.Close()
		})
	}
	directions.Wait()
}

// chunk is the data of one read, with the time at which it is due on the other side.
type chunk struct {
	data []byte
	due  time.Time
}

// lineCapacity is the capacity of a delay line in chunks. It is far more than a test sends within a
// round trip, so that the line delays and does not throttle.
const lineCapacity = 1 << 14

func (p *Proxy) copy(to, from net.Conn, hole *atomic.Bool) {
	line := make(chan chunk, lineCapacity)
	go func() {
		defer close(line)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			if n > 0 {
				line <- chunk{buf[:n], time.Now().Add(p.delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	failed := false
	for c := range line { // drain the channel, otherwise the reader would block forever
		time.Sleep(time.Until(c.due))
		for hole.Load() && !failed {
			time.Sleep(pollInterval)
			failed = !p.open(to)
		}
		if !failed {
			_, err := to.Write(c.data)
			failed = err != nil
		}
		if failed {
			_ = from.Close()
		}
	}
}

func (p *Proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

func (p *Proxy) open(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[c]
}

// String returns a description of the proxy for messages.
func (p *Proxy) String() string { return fmt.Sprintf("proxy %s to %s", p.listener.Addr(), p.target) }
