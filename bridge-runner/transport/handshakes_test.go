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

// versions of TLS, each of which resumes in its own way.
var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// handshakes are what a server's sessions have told.
type handshakes struct {
	mu   sync.Mutex
	seen []Handshake
}

func (h *handshakes) observe(one Handshake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, one)
}

// were checks which handshakes there were since the last call, and that each took
// time.
func (h *handshakes) were(t *testing.T, resumed ...bool) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	var got []bool
	for _, one := range h.seen {
		got = append(got, one.Resumed)
		if one.Took <= 0 {
			t.Errorf("a handshake took %s", one.Took)
		}
	}
	if h.seen = nil; !slices.Equal(got, resumed) {
		t.Errorf("handshakes resumed: %v, want %v", got, resumed)
	}
}

// remember adds sessions to a configuration.
func remember(cfg Config) (Config, *handshakes) {
	var h handshakes
	cfg.Sessions = &TLSSessions{Observe: h.observe}
	return cfg, &h
}

// visit connects and has a byte answered, so that tickets have come.
func visit(t *testing.T, cfg Config) {
	t.Helper()
	c := dial(t, cfg)
	echoes(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// keeper is the TLS configuration of a server that keeps its ticket keys whatever its
// certificate is: what makes sessions live longest.
func keeper(t *testing.T, pair *mqtttest.KeyPair) *tls.Config {
	t.Helper()
	cfg := secure(t, pair)
	cfg.SetSessionTicketKeys([][32]byte{{1}})
	return cfg
}

// listenWith serves TLS with what settings returns for each connection, and tells who
// the clients are.
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

// always is one configuration for all connections.
func always(cfg *tls.Config) func() *tls.Config { return func() *tls.Config { return cfg } }

// sequence is a configuration for each connection.
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
