// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

const (
	group = "default/plant"
	// testTimeout is the longest time for something that must happen, on a busy machine.
	testTimeout = 20 * time.Second
	// interval and silence are the settings of most tests.
	interval = 50 * time.Millisecond
	silence  = time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		runChild()
	}
	os.Exit(m.Run())
}

// ending is a call of Ended.
type ending struct {
	conn *Conn
	how  Ending
	err  error
	at   time.Time
}

// recorder is a Handler that passes the events to a test.
type recorder struct {
	connected chan *Conn
	received  chan Message // without heartbeats
	beats     chan State
	ended     chan ending
}

func newRecorder() *recorder {
	return &recorder{
		connected: make(chan *Conn, 1024), received: make(chan Message, 1024),
		beats: make(chan State, 1024), ended: make(chan ending, 1024),
	}
}

func (r *recorder) Connected(c *Conn) { r.connected <- c }

func (r *recorder) Received(_ *Conn, m Message) {
	beat, ok := m.(*Heartbeat)
	if !ok {
		r.received <- m
		return
	}
	select {
	case r.beats <- beat.State:
	default: // the test does not read them
	}
}

func (r *recorder) Ended(c *Conn, how Ending, err error) {
	r.ended <- ending{c, how, err, time.Now()}
}

// await receives from a channel.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(testTimeout):
		t.Fatalf("%s: not within %s", what, testTimeout)
		panic("not reached")
	}
}

// wantEnding waits for the end of a connection and checks its cause.
func (r *recorder) wantEnding(t *testing.T, want Ending) ending {
	t.Helper()
	got := await(t, r.ended, "the end of the connection")
	if got.how != want {
		t.Fatalf("the connection ended as %q (%v), want %q", got.how, got.err, want)
	}
	return got
}

// certificate returns a new key pair and its fingerprint.
func certificate(t testing.TB) (tls.Certificate, Fingerprint) {
	t.Helper()
	pair, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	f, err := FingerprintOf(pair)
	if err != nil {
		t.Fatal(err)
	}
	return pair, f
}

// trust returns a function that trusts the fingerprints.
func trust(accepted ...Fingerprint) func(Fingerprint) bool {
	return func(f Fingerprint) bool {
		for _, one := range accepted {
			if f == one {
				return true
			}
		}
		return false
	}
}

// start returns an endpoint that is closed at the end of the test. change may change its settings.
func start(t testing.TB, identity string, pair tls.Certificate, trusted func(Fingerprint) bool, change func(*Config)) (*Endpoint, *recorder) {
	t.Helper()
	events := newRecorder()
	cfg := Config{
		Group: group, Identity: identity, Certificate: pair, Trusted: trusted,
		Interval: interval, Silence: silence, Handler: events, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg, State{Role: identity + "'s role", Term: Term{Lease: 7}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, events
}

// serve makes an endpoint listen on a free port.
func serve(t testing.TB, e *Endpoint) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- e.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the listener ended: %v", err)
		}
	})
	return addressOf(l)
}

func addressOf(l net.Listener) netip.AddrPort {
	return netip.MustParseAddrPort(l.Addr().String())
}

// pairOf is two endpoints that trust each other. The second one listens.
type pairOf struct {
	a, b             *Endpoint
	fromA, fromB     *recorder // the events that a, and b, receive
	certA, certB     tls.Certificate
	fingerA, fingerB Fingerprint
	address          netip.AddrPort
}

func newPair(t testing.TB, change func(*Config)) *pairOf {
	t.Helper()
	p := &pairOf{}
	p.certA, p.fingerA = certificate(t)
	p.certB, p.fingerB = certificate(t)
	p.a, p.fromA = start(t, "a", p.certA, trust(p.fingerB), change)
	p.b, p.fromB = start(t, "b", p.certB, trust(p.fingerA), change)
	p.address = serve(t, p.b)
	return p
}

// connect makes a dial b, and returns both ends.
func (p *pairOf) connect(t *testing.T) (a, b *Conn) {
	t.Helper()
	a = dial(t, p.a, p.address)
	if got := await(t, p.fromA.connected, "the connection at a"); got != a {
		t.Fatal("a received another connection than Dial returned")
	}
	return a, await(t, p.fromB.connected, "the connection at b")
}

// dial connects, and fails the test if it cannot.
func dial(t *testing.T, e *Endpoint, address netip.AddrPort) *Conn {
	t.Helper()
	c, evidence, err := e.Dial(t.Context(), address)
	if evidence != Connected || err != nil {
		t.Fatalf("dialling %s: %s: %v", address, evidence, err)
	}
	return c
}

// rawClient connects to an endpoint as a member whose messages the test writes.
func (p *pairOf) rawClient(t *testing.T) *tls.Conn {
	t.Helper()
	return p.rawClientWith(t, p.a.client)
}

func (p *pairOf) rawClientWith(t *testing.T, settings *tls.Config) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address.String(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return conn
}
