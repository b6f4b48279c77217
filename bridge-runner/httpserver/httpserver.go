// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package httpserver makes the HTTP servers of the operator and the runner: metrics, health
// and status, for a few clients that ask now and then.
//
// It promises that whoever can connect cannot take more than a few megabytes of memory, nor
// keep the kubelet's probes out: a server has at most [MaxConnections] connections, closes
// the one that has waited longest for a new one, and bounds what a request may take.
//
// It knows nothing of what is served.
package httpserver

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// MaxConnections is how many connections a server has at most.
	MaxConnections = 64

	// headerTimeout bounds the reading of a request's header, and a TLS handshake.
	headerTimeout = 5 * time.Second
	// readTimeout bounds the reading of a request.
	readTimeout = 10 * time.Second
	// writeTimeout bounds the answer to a request.
	writeTimeout = 30 * time.Second
	// idleTimeout is how long a connection is kept for the next request.
	idleTimeout = time.Minute
	// headerBytes bounds the header of a request.
	headerBytes = 16 << 10

	// waitingAfter is how long a connection without a request is not taken for one that
	// only waits.
	waitingAfter = time.Second
)

// New returns a server of a handler.
func New(handler http.Handler) *http.Server {
	crowd := &crowd{visits: map[net.Conn]visit{}}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ConnState:         crowd.changed,
	}
}

// crowd is the connections of a server.
type crowd struct {
	mu     sync.Mutex
	visits map[net.Conn]visit
}

type visit struct {
	since  time.Time // the state has not changed since then
	active bool      // a request has begun
}

// changed follows the state of a connection. It is called before a new connection is
// served, and closes another one if there are too many: a limit on what is accepted would
// have the kubelet wait behind all that others have opened.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	var over net.Conn
	switch state {
	case http.StateNew:
		if len(c.visits) >= MaxConnections {
			over = c.longest(time.Now())
			delete(c.visits, over)
		}
		c.visits[conn] = visit{since: time.Now()}
	case http.StateActive, http.StateIdle:
		if _, ok := c.visits[conn]; ok {
			c.visits[conn] = visit{since: time.Now(), active: state == http.StateActive}
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.visits, conn)
	}
	c.mu.Unlock()
	if over != nil {
		hangUp(over)
	}
}

// longest returns the connection that has waited longest for a request, or if none has
// waited for long the one whose state has not changed for longest.
func (c *crowd) longest(now time.Time) (longest net.Conn) {
	waits := func(v visit) bool { return !v.active && now.Sub(v.since) >= waitingAfter }
	var found visit
	for conn, v := range c.visits {
		if longest == nil || waits(v) && !waits(found) || waits(v) == waits(found) && v.since.Before(found.since) {
			longest, found = conn, v
		}
	}
	return longest
}

// hangUp closes a connection without a word, which the other end might not take.
func hangUp(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close() // it is of no use any more
}
