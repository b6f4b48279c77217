// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// testNames has the data of the test's own DNS server: the addresses of each name, and the number of
// queries for its IPv4 addresses.
var testNames = struct {
	sync.Mutex
	addrs   map[string][]netip.Addr
	queries map[string]int
}{addrs: map[string][]netip.Addr{}, queries: map[string]int{}}

func TestMain(m *testing.M) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go answerQueries(server)
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	m.Run()
}

// setAddresses sets the addresses of a name in the test's DNS server.
func setAddresses(name string, addrs ...string) {
	testNames.Lock()
	defer testNames.Unlock()
	testNames.addrs[name] = nil
	for _, a := range addrs {
		testNames.addrs[name] = append(testNames.addrs[name], netip.MustParseAddr(a))
	}
}

// queryCount returns the number of queries for the IPv4 addresses of a name.
func queryCount(name string) int {
	testNames.Lock()
	defer testNames.Unlock()
	return testNames.queries[name]
}

func answerQueries(server net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := server.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		answer := answerTo(&query)
		if packed, err := answer.Pack(); err == nil {
			_, _ = server.WriteTo(packed, from)
		}
	}
}

func answerTo(query *dnsmessage.Message) *dnsmessage.Message {
	testNames.Lock()
	defer testNames.Unlock()
	q := query.Questions[0]
	name := strings.TrimSuffix(q.Name.String(), ".")
	answer := &dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true}, Questions: query.Questions}
	addrs, known := testNames.addrs[name]
	if !known {
		answer.RCode = dnsmessage.RCodeNameError
	}
	if q.Type == dnsmessage.TypeA {
		testNames.queries[name]++
	}
	for _, a := range addrs {
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 3600}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return answer
}

// listen accepts connections at an address, and calls serve for each, until the test ends.
func listen(t *testing.T, address string, serve func(net.Conn)) (hostPort string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		_ = l.Close()
		cancel()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				serve(c)
			})
		}
	})
	return l.Addr().String()
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// discard is a server that never responds.
func discard(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// port returns the port of a host and port.
func port(t *testing.T, hostPort string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(hostPort)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// closedPort returns a host and port on which no program listens.
func closedPort(t *testing.T) string {
	t.Helper()
	return mqtttest.FreeAddress(t)
}

// testTimeout is the time limit for operations that take milliseconds, on a busy machine.
const testTimeout = 15 * time.Second

// dial connects, and fails the test if it cannot connect.
func dial(t *testing.T, cfg Config) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	c, err := Dial(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantEcho checks that the peer echoes written data.
func wantEcho(t *testing.T, c net.Conn) {
	t.Helper()
	sent := "through and through"
	if _, err := io.WriteString(c, sent); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != sent {
		t.Fatalf("the peer echoed %q, %v", got, err)
	}
}

// wantDialError checks that connecting fails with this reason and text. It connects twice, because the
// text must not change.
func wantDialError(t *testing.T, timeout time.Duration, cfg Config, reason, text string) {
	t.Helper()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		c, err := Dial(ctx, cfg)
		cancel()
		if err == nil {
			_ = c.Close()
			t.Fatal("connected")
		}
		wantError(t, err, reason, text)
	}
}

// Explain returns the reason and the message of an error for users. Package diagnosis imports this
// package, so that a file of the external test package sets it.
var Explain func(err error) (reason, message string)

// wantError checks an error's reason and text.
func wantError(t *testing.T, err error, reason, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	if gotReason, got := Explain(e); gotReason != reason || got != text {
		t.Errorf("got  %s: %s\nwant %s: %s\n(%v)", gotReason, got, reason, text, e.Err)
	}
}

// serverTLS returns a server's TLS configuration.
func serverTLS(t *testing.T, pair *mqtttest.KeyPair) *tls.Config {
	t.Helper()
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}

func pool(pem []byte) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(pem)
	return p
}

// clientTLS returns the TLS configuration of a client that trusts the authority of pki.
func clientTLS(pki *mqtttest.PKI) *tls.Config {
	return &tls.Config{ServerName: "localhost", RootCAs: pool(pki.CA), MinVersion: tls.VersionTLS12}
}
