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
	// maxSessionAge is the longest time after the server last sent its certificate in which its
	// sessions are resumed. Without a limit, each resumption could return a new ticket, and the
	// certificate would never be verified again (RFC 8446 section 4.6.1).
	maxSessionAge = 24 * time.Hour
	// distrustTime is the time in which no session is offered to a server at which a handshake
	// with a session failed and a handshake without it succeeded.
	distrustTime = time.Hour
	// maxAddresses is the largest number of addresses of one server for which sessions are kept.
	maxAddresses = 8
)

// Handshake is a successful TLS handshake.
type Handshake struct {
	// Resumed is true if the handshake resumed an earlier session: no certificate was sent or
	// verified, and no signature was made.
	Resumed bool
	// Duration is the duration of the handshake from its first byte to its last one. It does not
	// include the TCP connection.
	Duration time.Duration
	// Expiry says when the certificates expire.
	Expiry Expiry
}

// TLSSessions keeps the TLS sessions of one server, so that later connections resume them
// (RFC 5077; RFC 8446 section 2.2). The zero value is ready for use. Several connections may use
// it concurrently.
//
// A session is resumed only with the settings that it was created with: CA, client certificate,
// name and ALPN. If one of them changes, all sessions are dropped. When a session is resumed,
// crypto/tls checks again that the server's certificate is still valid and its CA still trusted.
type TLSSessions struct {
	// Observe is called with each successful handshake. It may be nil.
	Observe func(Handshake)

	mu sync.Mutex
	// settings are the settings that the tickets were created with.
	settings *tls.Config
	tickets  *tickets
}

// tickets has one ticket per address of the server. A name may refer to several servers that do not
// accept each other's tickets.
type tickets struct {
	mu        sync.Mutex
	byAddress map[string]ticket
	// distrustedUntil is the time until which no ticket is offered.
	distrustedUntil time.Time
}

type ticket struct {
	state *tls.ClientSessionState
	// cache is the cache of the connection that received the ticket.
	cache *ticketCache
}

// ticketCache is the session cache that crypto/tls uses for one handshake and its connection. With
// TLS 1.3, tickets arrive after the handshake, together with the first data that is read. If the
// settings have changed by then, no later handshake uses the tickets.
type ticketCache struct {
	tickets *tickets
	// address is the server's network address.
	address string
	now     func() time.Time
	// noSession is true if the handshake must not offer a session.
	noSession bool

	// sessionOffered is true while a handshake that offered a session is in progress.
	// tickets.mu protects it.
	sessionOffered bool
	// verifiedAt is the time when the server last sent its certificate. tickets.mu protects it.
	verifiedAt time.Time
}

// newCache returns the cache for a handshake with these settings. It returns nil if no sessions are
// to be kept.
func (s *TLSSessions) newCache(settings *tls.Config) *ticketCache {
	if s == nil || settings == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settings == nil || !sameSettings(s.settings, settings) {
		s.settings, s.tickets = settings, &tickets{byAddress: map[string]ticket{}}
	}
	cache := &ticketCache{tickets: s.tickets, now: time.Now}
	if settings.Time != nil {
		cache.now = settings.Time
	}
	return cache
}

// sameSettings reports whether two configurations are equal in the settings that package config
// sets. Their CA pools are equal if both contain the same certificates, or both are the system's.
func sameSettings(a, b *tls.Config) bool {
	chain := func(a, b tls.Certificate) bool { return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal) }
	return a.ServerName == b.ServerName && a.RootCAs.Equal(b.RootCAs) &&
		slices.EqualFunc(a.Certificates, b.Certificates, chain) && slices.Equal(a.NextProtos, b.NextProtos)
}

// handshake starts TLS on the connection, and resumes an earlier session if there is one. Its
// errors are of type *[Error].
func (s *TLSSessions) handshake(ctx context.Context, settings *tls.Config, cache *ticketCache, conn net.Conn) (net.Conn, error) {
	auth := &clientAuth{certificates: settings.Certificates}
	settings = settings.Clone()
	settings.GetClientCertificate = auth.getClientCertificate
	if cache != nil {
		cache.address = conn.RemoteAddr().String()
		settings.ClientSessionCache = cache
	}
	start := time.Now()
	secure := tls.Client(conn, settings)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, tlsError(ctx, settings, auth, err)
	}
	upper := &alertConn{Conn: secure, auth: auth}
	if cache == nil {
		return upper, nil
	}
	state := secure.ConnectionState()
	h := Handshake{Resumed: state.DidResume, Duration: time.Since(start), Expiry: expiryOf(&state, settings.Certificates)}
	cache.succeeded(h.Resumed)
	if s.Observe != nil {
		s.Observe(h)
	}
	if h.Resumed {
		return &resumedConn{alertConn: upper, cache: cache}, nil
	}
	return upper, nil
}

// Get implements [tls.ClientSessionCache]. It ignores the key, which is the server's name and
// always the same here.
func (cache *ticketCache) Get(string) (*tls.ClientSessionState, bool) {
	cache.tickets.mu.Lock()
	defer cache.tickets.mu.Unlock()
	t, ok := cache.tickets.byAddress[cache.address]
	now := cache.now()
	if !ok || cache.noSession || now.Before(cache.tickets.distrustedUntil) || now.Sub(t.cache.verifiedAt) > maxSessionAge {
		return nil, false
	}
	cache.sessionOffered, cache.verifiedAt = true, t.cache.verifiedAt
	return t.state, true
}

// Put implements [tls.ClientSessionCache].
func (cache *ticketCache) Put(_ string, state *tls.ClientSessionState) {
	cache.tickets.mu.Lock()
	defer cache.tickets.mu.Unlock()
	delete(cache.tickets.byAddress, cache.address)
	if state == nil {
		return
	}
	if len(cache.tickets.byAddress) == maxAddresses {
		cache.tickets.dropOldestLocked()
	}
	cache.tickets.byAddress[cache.address] = ticket{state, cache}
}

// dropOldestLocked drops the ticket of the address whose certificate was verified least recently.
func (t *tickets) dropOldestLocked() {
	oldest := ""
	for address, ticket := range t.byAddress {
		if oldest == "" || ticket.cache.verifiedAt.Before(t.byAddress[oldest].cache.verifiedAt) {
			oldest = address
		}
	}
	delete(t.byAddress, oldest)
}

// succeeded records that the handshake succeeded.
func (cache *ticketCache) succeeded(resumed bool) {
	cache.tickets.mu.Lock()
	defer cache.tickets.mu.Unlock()
	cache.sessionOffered = false // a later failure is not the handshake's
	if !resumed {
		cache.verifiedAt = cache.now()
	}
	if cache.noSession {
		cache.tickets.distrustedUntil = cache.now().Add(distrustTime)
	}
}

// retryWithoutSession returns the cache for a full handshake after this handshake has failed. It
// returns nil if a full handshake would not help: no session was offered, or the server's
// certificate was refused.
func (cache *ticketCache) retryWithoutSession(err error) *ticketCache {
	if cache == nil {
		return nil
	}
	cache.tickets.mu.Lock()
	defer cache.tickets.mu.Unlock()
	var refused *tls.CertificateVerificationError
	if !cache.sessionOffered || errors.As(err, &refused) {
		return nil
	}
	return &ticketCache{tickets: cache.tickets, now: cache.now, noSession: true}
}

// resumedConn is a connection that resumed a session. If the server ends it before it sends any
// data, the session is dropped, because it may be the cause.
type resumedConn struct {
	*alertConn
	cache *ticketCache
	// received is true if the server has sent data.
	received bool
}

func (c *resumedConn) Read(p []byte) (int, error) {
	n, err := c.alertConn.Read(p)
	switch {
	case n > 0:
		c.received = true
	case err != nil && !c.received:
		c.cache.Put("", nil)
	}
	return n, err
}
