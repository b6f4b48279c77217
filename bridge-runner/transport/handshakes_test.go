// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// versions are the TLS versions. Resumption differs between them.
var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// handshakes collects the handshakes that TLSSessions.Observe reports.
type handshakes struct {
	mu   sync.Mutex
	seen []Handshake
}

func (h *handshakes) observe(one Handshake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, one)
}

// wantResumed checks for each handshake since the last call whether it was resumed, and that its
// duration is greater than 0.
func (h *handshakes) wantResumed(t *testing.T, resumed ...bool) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	var got []bool
	for _, one := range h.seen {
		got = append(got, one.Resumed)
		if one.Duration <= 0 {
			t.Errorf("a handshake took %s, want more than 0", one.Duration)
		}
	}
	if h.seen = nil; !slices.Equal(got, resumed) {
		t.Errorf("handshakes resumed: %v, want %v", got, resumed)
	}
}

// withSessions adds TLS sessions to a configuration. It returns the observed handshakes.
func withSessions(cfg Config) (Config, *handshakes) {
	var h handshakes
	cfg.Sessions = &TLSSessions{Observe: h.observe}
	return cfg, &h
}

// connectOnce connects and waits for an echo, so that the tickets have arrived.
func connectOnce(t *testing.T, cfg Config) {
	t.Helper()
	c := dial(t, cfg)
	wantEcho(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// fixedTicketKeyTLS returns the TLS configuration of a server with a fixed ticket key. Its sessions
// remain valid if the certificate changes.
func fixedTicketKeyTLS(t *testing.T, pair *mqtttest.KeyPair) *tls.Config {
	t.Helper()
	cfg := serverTLS(t, pair)
	cfg.SetSessionTicketKeys([][32]byte{{1}})
	return cfg
}

// listenWith serves TLS. It calls settings for each connection, and sends the common name of the
// client's certificate to clients.
func listenWith(t *testing.T, settings func() *tls.Config) (hostPort string, clients chan string) {
	t.Helper()
	clients = make(chan string, 10)
	return listen(t, "127.0.0.1:0", func(c net.Conn) {
		server := tls.Server(c, settings())
		if server.Handshake() != nil {
			return
		}
		name := ""
		if certs := server.ConnectionState().PeerCertificates; len(certs) > 0 {
			name = certs[0].Subject.CommonName
		}
		clients <- name
		echo(server)
		_ = server.Close()
	}), clients
}

// always returns the same configuration for all connections.
func always(cfg *tls.Config) func() *tls.Config { return func() *tls.Config { return cfg } }

// sequence returns the next configuration for each connection, and repeats the last one.
func sequence(cfgs ...*tls.Config) func() *tls.Config {
	var mu sync.Mutex
	return func() *tls.Config {
		mu.Lock()
		defer mu.Unlock()
		cfg := cfgs[0]
		if len(cfgs) > 1 {
			cfgs = cfgs[1:]
		}
		return cfg
	}
}
