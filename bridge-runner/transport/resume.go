// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// maxVerified is how long after a server has shown its certificate its sessions are
	// resumed. Tickets that beget tickets would go on for ever (RFC 8446 section 4.6.1).
	maxVerified = 24 * time.Hour
	// mistrusted is for how long no session is offered to a server that has failed with
	// one and not without.
	mistrusted = time.Hour
	// maxAddresses is how many addresses of one server have sessions kept.
	maxAddresses = 8
)

// Handshake is a TLS handshake that succeeded.
type Handshake struct {
	// Resumed says whether it went on with an earlier session: no certificate was sent
	// or verified, and nothing signed.
	Resumed bool
	// Took is from the first byte to the last, on a connection that was there.
	Took time.Duration
}

// TLSSessions keeps the TLS sessions of one server, so that a connection after the
// first resumes one (RFC 5077; RFC 8446 section 2.2). The zero value is ready. It may
// be used by several connections at once.
//
// A session is resumed with the settings that it was made with, and with no others:
// CA, client certificate, name and ALPN. Where one of them differs, all sessions are
// forgotten. That a server's certificate is still valid, and its CA still trusted, is
// checked again by crypto/tls.
type TLSSessions struct {
	// Observe is called with each handshake that succeeded. It may be nil.
	Observe func(Handshake)

	mu       sync.Mutex
	settings *tls.Config
	kept     *tickets // made with these settings
}

// tickets are by the server's address: a name may stand for several servers, which
// know nothing of each other's.
type tickets struct {
	mu         sync.Mutex
	of         map[string]ticket
	mistrusted time.Time // until when none is offered
}

type ticket struct {
	state *tls.ClientSessionState
	from  *exchange
}

// exchange is one handshake, and what comes of its connection. It is the session cache
// that crypto/tls sees. With TLS 1.3 tickets come after the handshake, with the first
// that is read; where settings have changed meanwhile nobody asks for them any more.
type exchange struct {
	tickets *tickets
	address string
	now     func() time.Time
	plain   bool // no session is to be offered

	// Under tickets.mu:
	offered  bool      // a session was, and the handshake is not over
	verified time.Time // when the server last showed its certificate
}

// exchange begins a handshake with those settings. It is nil where there are no
// sessions to keep.
func (s *TLSSessions) exchange(settings *tls.Config) *exchange {
	if s == nil || settings == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settings == nil || !same(s.settings, settings) {
		s.settings, s.kept = settings, &tickets{of: map[string]ticket{}}
	}
	x := &exchange{tickets: s.kept, now: time.Now}
	if settings.Time != nil {
		x.now = settings.Time
	}
	return x
}

// same reports whether two connections are made with the same settings, as far as
// package config sets them. A pool of CAs has the same certificates, or both are the
// system's.
func same(a, b *tls.Config) bool {
	chain := func(a, b tls.Certificate) bool { return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal) }
	return a.ServerName == b.ServerName && a.RootCAs.Equal(b.RootCAs) &&
		slices.EqualFunc(a.Certificates, b.Certificates, chain) && slices.Equal(a.NextProtos, b.NextProtos)
}

// shakeHands speaks TLS over the connection, with an earlier session if there is one.
// Errors are of type *[Error].
func (s *TLSSessions) shakeHands(ctx context.Context, settings *tls.Config, x *exchange, conn net.Conn) (net.Conn, error) {
	auth := &clientAuth{certificates: settings.Certificates}
	settings = settings.Clone()
	settings.GetClientCertificate = auth.choose
	if x != nil {
		x.address = conn.RemoteAddr().String()
		settings.ClientSessionCache = x
	}
	start := time.Now()
	secure := tls.Client(conn, settings)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, tlsError(ctx, settings, auth, err)
	}
	upper := &secured{Conn: secure, auth: auth}
	if x == nil {
		return upper, nil
	}
	h := Handshake{Resumed: secure.ConnectionState().DidResume, Took: time.Since(start)}
	x.done(h.Resumed)
	if s.Observe != nil {
		s.Observe(h)
	}
	if h.Resumed {
		return &resumed{secured: upper, exchange: x}, nil
	}
	return upper, nil
}

// Get implements [tls.ClientSessionCache]. The key is the server's name, which is
// always the same here.
func (x *exchange) Get(string) (*tls.ClientSessionState, bool) {
	x.tickets.mu.Lock()
	defer x.tickets.mu.Unlock()
	t, ok := x.tickets.of[x.address]
	now := x.now()
	if !ok || x.plain || now.Before(x.tickets.mistrusted) || now.Sub(t.from.verified) > maxVerified {
		return nil, false
	}
	x.offered, x.verified = true, t.from.verified
	return t.state, true
}

// Put implements [tls.ClientSessionCache].
func (x *exchange) Put(_ string, state *tls.ClientSessionState) {
	x.tickets.mu.Lock()
	defer x.tickets.mu.Unlock()
	delete(x.tickets.of, x.address)
	if state == nil {
		return
	}
	if len(x.tickets.of) == maxAddresses {
		x.tickets.dropOldest()
	}
	x.tickets.of[x.address] = ticket{state, x}
}

func (t *tickets) dropOldest() {
	oldest := ""
	for address, ticket := range t.of {
		if oldest == "" || ticket.from.verified.Before(t.of[oldest].from.verified) {
			oldest = address
		}
	}
	delete(t.of, oldest)
}

// done notes that the handshake succeeded.
func (x *exchange) done(resumed bool) {
	x.tickets.mu.Lock()
	defer x.tickets.mu.Unlock()
	x.offered = false // whatever fails now, it is not the handshake
	if !resumed {
		x.verified = x.now()
	}
	if x.plain {
		x.tickets.mistrusted = x.now().Add(mistrusted)
	}
}

// another is a handshake without a session to make after this one, which failed. It is
// nil where that is of no use: no session was offered, or the server has gone past it
// and showed its certificate.
func (x *exchange) another(err error) *exchange {
	if x == nil {
		return nil
	}
	x.tickets.mu.Lock()
	defer x.tickets.mu.Unlock()
	var refused *tls.CertificateVerificationError
	if !x.offered || errors.As(err, &refused) {
		return nil
	}
	return &exchange{tickets: x.tickets, now: x.now, plain: true}
}

// resumed is a connection of which the session is forgotten where the server, after it
// has taken it up, ends the connection without a byte: it may not like the session.
type resumed struct {
	*secured
	exchange *exchange
	answered bool
}

func (c *resumed) Read(p []byte) (int, error) {
	n, err := c.secured.Read(p)
	switch {
	case n > 0:
		c.answered = true
	case err != nil && !c.answered:
		c.exchange.Put("", nil)
	}
	return n, err
}
