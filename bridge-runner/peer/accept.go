// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxPending is the largest number of accepted connections without a complete handshake.
	maxPending = 64
	// acceptPause is the pause after an error of the system, such as too many open files.
	acceptPause = 100 * time.Millisecond
)

// Serve accepts connections of other members until the context ends or the endpoint is closed. Then
// it closes the listener and returns nil. It returns an error if the listener was closed otherwise.
// From then on, other members treat this process as ended.
func (e *Endpoint) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()                        //nolint:contextcheck // the end of the endpoint ends ctx, too
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })() // ends Accept
	for {
		raw, err := listener.Accept()
		switch {
		case err == nil:
			e.admit(raw) //nolint:contextcheck // a connection outlives Serve
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			e.cfg.Log.Warn("a connection of another member of the group cannot be accepted; the listener tries again", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
		}
	}
}

// admit starts the handshake of an accepted connection.
func (e *Endpoint) admit(raw net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = raw.Close() // nothing was sent
		return
	}
	p := e.pending.add(raw)
	e.running.Go(func() { e.accept(p) })
}

// accept makes the handshake of an accepted connection.
func (e *Endpoint) accept(p *pendingConn) {
	defer e.pending.remove(p)
	if tcp, ok := p.raw.(*net.TCPConn); ok {
		_ = tcp.SetKeepAlive(false) // heartbeats detect a lost member
	}
	ctx, cancel := context.WithTimeout(e.ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Server(p.raw, e.server)
	in, hello, err := e.handshake(ctx, conn)
	if err == nil {
		if c := e.newConn(conn, in, hello, false); e.start(c) {
			return
		}
		err = errBroken
	}
	e.cfg.Log.Debug("a connection to the port for the members of the group is refused", "address", p.raw.RemoteAddr().String(), "error", err)
	_ = p.raw.Close() // the alert was sent
}

// pendingConn is an accepted connection without a complete handshake.
type pendingConn struct {
	raw   net.Conn
	host  string
	since time.Time
}

// pending has the accepted connections without a complete handshake.
type pending struct {
	mu    sync.Mutex // no other lock is taken while it is held
	conns map[*pendingConn]bool
}

// add adds a connection. If there are too many, it closes another one. A limit on accepted
// connections would be wrong: the other members would have to wait until other clients close theirs.
func (p *pending) add(raw net.Conn) *pendingConn {
	added := &pendingConn{raw: raw, host: hostOf(raw), since: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) >= maxPending {
		surplus := p.surplusLocked()
		delete(p.conns, surplus)
		_ = surplus.raw.Close() // ends its handshake
	}
	p.conns[added] = true
	return added
}

// surplusLocked returns the connection that has waited longest, of the host that has the most. So a
// client cannot keep out other hosts. It hardly keeps out members on its own host, because their
// handshakes take milliseconds.
func (p *pending) surplusLocked() (longest *pendingConn) {
	count := map[string]int{}
	for c := range p.conns {
		count[c.host]++
	}
	for c := range p.conns {
		if longest == nil || count[c.host] > count[longest.host] || count[c.host] == count[longest.host] && c.since.Before(longest.since) {
			longest = c
		}
	}
	return longest
}

func (p *pending) remove(c *pendingConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func hostOf(raw net.Conn) string {
	host, _, err := net.SplitHostPort(raw.RemoteAddr().String())
	if err != nil {
		return ""
	}
	return host
}
