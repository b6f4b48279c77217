// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package httpserver creates the HTTP servers of the operator and the runner. They serve
// metrics, health and status to a few clients that send requests now and then.
//
// It promises that clients cannot make a server use more than a few megabytes of memory,
// and cannot keep out the kubelet's probes. A server has at most [MaxConnections]
// connections. For a new connection it closes the connection that has waited longest, of the
// client with the most connections. It limits the time of a request and the size of its header.
//
// The content that is served is the caller's. [Shared] bounds the cost of large answers.
package httpserver

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// MaxConnections is the largest number of connections of a server.
	MaxConnections = 64

	// headerTimeout limits the time to read the header of a request, and the time of a TLS
	// handshake.
	headerTimeout = 5 * time.Second
	// readTimeout limits the time to read a request.
	readTimeout = 10 * time.Second
	// writeTimeout limits the time to answer a request.
	writeTimeout = 30 * time.Second
	// idleTimeout is the time for which a connection stays open for the next request.
	idleTimeout = time.Minute
	// headerBytes limits the size of the header of a request, in bytes.
	headerBytes = 16 << 10

	// waitingAfter is the time after which a connection without a request counts as
	// waiting.
	waitingAfter = time.Second
)

// New returns a server that serves the handler.
func New(handler http.Handler) *http.Server {
	connections := &connections{states: map[net.Conn]connState{}}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ConnState:         connections.changed,
	}
}

// connections are the open connections of a server.
type connections struct {
	mu     sync.Mutex // no other lock is taken while it is held
	states map[net.Conn]connState
}

type connState struct {
	// since is the time of the latest change.
	since time.Time
	// active is true from the first byte of a request until the end of its answer.
	active bool
}

// changed records the new state of a connection. net/http calls it before it serves a new
// connection. If there are too many connections, changed closes another one. A limit on
// accepted connections would be wrong: the kubelet would have to wait until other clients
// close theirs.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	var surplus net.Conn
	switch state {
	case http.StateNew:
		if len(c.states) >= MaxConnections {
			surplus = c.longestWaitingLocked(time.Now())
			delete(c.states, surplus)
		}
		c.states[conn] = connState{since: time.Now()}
	case http.StateActive, http.StateIdle:
		if _, ok := c.states[conn]; ok {
			c.states[conn] = connState{since: time.Now(), active: state == http.StateActive}
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.states, conn)
	}
	c.mu.Unlock()
	if surplus != nil {
		closeAbruptly(surplus)
	}
}

// longestWaitingLocked returns the connection that has waited longest for a request, of the address with the
// most connections: a client must not end the requests of others by many connections. If
// no connection counts as waiting, it returns the connection whose state has not changed
// for the longest time.
func (c *connections) longestWaitingLocked(now time.Time) (longest net.Conn) {
	waits := func(s connState) bool { return !s.active && now.Sub(s.since) >= waitingAfter }
	numbers, most := map[string]int{}, 0
	for conn := range c.states {
		numbers[host(conn)]++
		most = max(most, numbers[host(conn)])
	}
	var found connState
	for conn, s := range c.states {
		if numbers[host(conn)] < most {
			continue
		}
		if longest == nil || waits(s) && !waits(found) || waits(s) == waits(found) && s.since.Before(found.since) {
			longest, found = conn, s
		}
	}
	return longest
}

// host returns the address of a client, without its port.
func host(conn net.Conn) string {
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String()) // another network has one client
	return host
}

// closeAbruptly closes a connection without a TLS close notification: to send one could
// block if the other end does not read.
func closeAbruptly(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close() // the connection is not used any more
}
