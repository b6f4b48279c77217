// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

const (
	// maxOpening is the number of connections to a server that a process opens at the same time. It is
	// less than the shortest queue of connections that a server has: Mosquitto's has 100 places.
	maxOpening = 64
	// openingTime is the longest time for which a connection counts. So a server that is far away, or does
	// not answer, gets at least 1,280 connections a second.
	openingTime = 50 * time.Millisecond
)

// Pacer limits the number of connections that all bridges of a process open to one server at the same time.
// A server accepts connections one after the other. The system drops connections for which the server's
// queue has no place, and the client tries again only after a second. So 1,000 bridges that connect one
// after the other are connected sooner than 1,000 bridges that connect at once. A nil Pacer has no limit.
type Pacer struct {
	// mu guards the fields below. No other lock is taken while it is held.
	mu sync.Mutex
	// servers are the servers to which connections are being opened, by address.
	servers map[string]*opening
}

// opening are the connections that are being opened to a server.
type opening struct {
	count int
	// waiting are closed one by one, in their order, when a connection may be opened. Then it counts.
	waiting []chan struct{}
}

// NewPacer returns a Pacer without connections.
func NewPacer() *Pacer { return &Pacer{servers: map[string]*opening{}} }

// begin waits until a connection to an address may be opened. The caller calls opened when the server has
// answered, or the attempt has failed. begin returns an error if the context ends before.
func (p *Pacer) begin(ctx context.Context, address string) (opened func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	turn := p.enter(address)
	select {
	case <-turn:
	case <-ctx.Done():
		p.giveUp(address, turn)
		return nil, ctx.Err()
	}
	leave := sync.OnceFunc(func() { p.leave(address) })
	timer := time.AfterFunc(openingTime, leave)
	return func() { timer.Stop(); leave() }, nil
}

// firstHop returns the address to which a connection is made: of the proxy, if there is one.
func firstHop(cfg *session.Config) string {
	if proxy := cfg.Transport.Proxy; proxy != nil {
		return proxy.Host
	}
	return cfg.Transport.HostPort
}

// enter returns a channel that is closed when a connection to an address may be opened.
func (p *Pacer) enter(address string) (turn chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.servers[address]
	if o == nil {
		o = &opening{}
		p.servers[address] = o
	}
	turn = make(chan struct{})
	if o.count < maxOpening {
		o.count++
		close(turn)
	} else {
		o.waiting = append(o.waiting, turn)
	}
	return turn
}

// giveUp removes a connection that is not opened.
func (p *Pacer) giveUp(address string, turn chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.servers[address]
	if isClosed(turn) {
		p.leaveLocked(address, o)
		return
	}
	o.waiting = slices.DeleteFunc(o.waiting, func(c chan struct{}) bool { return c == turn })
}

// leave ends the opening of a connection, and lets the next one begin.
func (p *Pacer) leave(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked(address, p.servers[address])
}

func (p *Pacer) leaveLocked(address string, o *opening) {
	if len(o.waiting) > 0 {
		close(o.waiting[0])
		o.waiting = o.waiting[1:]
		return
	}
	o.count--
	if o.count == 0 {
		delete(p.servers, address)
	}
}
