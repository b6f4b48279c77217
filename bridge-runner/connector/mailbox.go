// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"sync"
)

// mailbox holds the latest settings and the latest request. The zero value holds none.
type mailbox struct {
	mu sync.Mutex // the only lock of the package; no other lock is taken while it is held
	// settings are the latest settings. They are nil before the first call of Apply. Each call has
	// a new address.
	settings *Settings
	// first are the settings of the first call of Apply.
	first *Settings
	// request is the latest request, or nil if no server is requested. settings has its server.
	// Each new request has a new address. A request that was withdrawn and repeated therefore
	// counts as new, also if the connector did not read the mailbox in between.
	request *Request
	// attempt is the attempt under way that a change of the settings may cancel. It is nil if
	// there is none.
	attempt *attempt
	// signal has a token after settings or request has changed. It is nil before the first use of
	// signalLocked, which returns it.
	signal chan struct{}
}

// attempt is an attempt to connect to a server with the settings that were in effect when it began.
type attempt struct {
	server Server
	// session is Settings.Session.
	session any
	cancel  context.CancelFunc
}

// outdated reports whether the attempt is useless with these settings: the server was removed, or
// a connection to it has other settings now.
func (a *attempt) outdated(s *Settings) bool {
	for i := range s.Servers {
		if server := &s.Servers[i]; server.same(a.server) {
			return server.Connection != a.server.Connection || s.Session != a.session
		}
	}
	return true
}

// latest returns the settings and the request.
func (m *mailbox) latest() (*Settings, *Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.settings, m.request
}

// apply replaces the settings. It withdraws a request for a server that they do not have.
func (m *mailbox) apply(next *Settings) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings = next
	if m.first == nil {
		m.first = next
	}
	if m.request != nil && next.index(m.request.Server) == noServer {
		m.request = nil
	}
	if m.attempt != nil && m.attempt.outdated(next) {
		m.attempt.cancel()
	}
	m.notifyLocked()
}

// put replaces the request, unless next requests the same.
func (m *mailbox) put(next *Request) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next != nil && m.settings.index(next.Server) == noServer {
		return fmt.Errorf("no server of this side has the name %q; its servers are %s", next.Server, m.settings.names())
	}
	if !next.same(m.request) {
		m.request = next
		m.notifyLocked()
	}
	return nil
}

func (m *mailbox) notifyLocked() {
	select {
	case m.signalLocked() <- struct{}{}:
	default: // the connector has not received the signal of the previous change
	}
}

// changed returns a channel that receives after the settings or the request have changed.
func (m *mailbox) changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.signalLocked()
}

func (m *mailbox) signalLocked() chan struct{} {
	if m.signal == nil {
		m.signal = make(chan struct{}, 1)
	}
	return m.signal
}

// begin registers an attempt, and cancels it as soon as the settings make it useless. The caller
// calls end afterwards, which also cancels it. end may be called again, at any time.
func (m *mailbox) begin(a *attempt) (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempt = a
	if a.outdated(m.settings) {
		a.cancel()
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.attempt == a {
			m.attempt = nil
		}
		a.cancel()
	}
}
