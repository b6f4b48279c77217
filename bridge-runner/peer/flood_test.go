// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// flood opens connections to an address from another host, each with this beginning, and keeps them
// open until the test ends.
func flood(t *testing.T, address string, connections int, beginning []byte) []net.Conn {
	t.Helper()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	var out []net.Conn
	for range connections {
		c, err := from.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = c.Write(beginning) // the endpoint may have closed it
		out = append(out, c)
	}
	return out
}

// clientHello is the beginning of a TLS handshake.
func clientHello(t *testing.T, p *pairOf) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() { _, _, _ = p.a.Dial(t.Context(), addressOf(l)) }() // it fails when the connection is closed
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestEndpoint_Flood_IsBoundedAndKeepsTheMembersConnected(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Silence = testTimeout }) // the machine is busy
	hello := clientHello(t, p)
	_, b := p.connect(t)
	before := usage()
	for name, beginning := range map[string][]byte{
		"silence": nil, "an HTTP request": []byte("GET / HTTP/1.1\r\n\r\n"), "random bytes": {0x16, 3, 1, 0xff, 0xff, 0, 1, 2},
		"a complete ClientHello": hello, "a part of a ClientHello": hello[:100],
	} {
		t.Run(name, func(t *testing.T) {
			flood(t, p.address.String(), 1000, beginning)
			now := usage()
			// On a busy machine, the ends of the connections take longer. Without a bound, the handshakes would last
			// for handshakeTimeout.
			for began := time.Now(); now.goroutines-before.goroutines > 2*maxPending && time.Since(began) < handshakeTimeout/2; {
				now = usage()
			}
			t.Logf("%d goroutines and %d kB more", now.goroutines-before.goroutines, (now.bytes-before.bytes)>>10)
			if more := now.goroutines - before.goroutines; more > 2*maxPending {
				t.Errorf("%d more goroutines", more)
			}
			if more := now.bytes - before.bytes; more > 8<<20 {
				t.Errorf("%d more bytes", more)
			}
			b.Send(&Query{ID: 1})
			await(t, p.fromA.received, "a message on the connection of the members")
		})
	}
}

type used struct {
	goroutines int
	bytes      int64
}

// usage returns the used resources, after a short time in which connections may end.
func usage() used {
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return used{runtime.NumGoroutine(), int64(m.HeapAlloc)}
}

func TestEndpoint_FloodContinues_MemberConnects(t *testing.T) {
	p := newPair(t, nil)
	hello := clientHello(t, p)
	stop := make(chan struct{})
	flooding := make(chan struct{})
	go func() {
		defer close(flooding)
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		var open []net.Conn
		for i := 0; ; i++ {
			select {
			case <-stop:
				for _, c := range open {
					_ = c.Close()
				}
				return
			default:
			}
			c, err := from.Dial("tcp", p.address.String())
			if err != nil {
				continue
			}
			_, _ = c.Write(hello[:i%len(hello)]) // the endpoint may have closed it
			if open = append(open, c); len(open) > 500 {
				_ = open[0].Close()
				open = open[1:]
			}
		}
	}()
	for range 10 {
		started := time.Now()
		c := dial(t, p.a, p.address)
		t.Logf("connected after %s", time.Since(started))
		c.Close()
		await(t, c.Done(), "the end of the connection")
	}
	close(stop)
	<-flooding
}

func TestEndpoint_SlowHandshake_EndsAfterItsTimeout(t *testing.T) {
	p := newPair(t, nil)
	hello := clientHello(t, p)
	started := time.Now()
	silent := flood(t, p.address.String(), 1, nil)[0]
	drips := flood(t, p.address.String(), 1, nil)[0]
	go func() {
		for i := range hello {
			if _, err := drips.Write(hello[i : i+1]); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	for name, c := range map[string]net.Conn{"silent": silent, "slow": drips} {
		if err := c.SetReadDeadline(started.Add(testTimeout)); err != nil {
			t.Fatal(err)
		}
		_, err := io.Copy(io.Discard, c)
		if errors.Is(err, os.ErrDeadlineExceeded) || time.Since(started) < handshakeTimeout/2 {
			t.Errorf("the %s connection ended after %s: %v", name, time.Since(started), err)
		}
	}
	if took := time.Since(started); took > handshakeTimeout+testTimeout/2 {
		t.Errorf("the connections ended after %s", took)
	}
}

func TestEndpoint_TrustedKeyAndNoHello_EndsAfterItsTimeout(t *testing.T) {
	p := newPair(t, nil)
	c := p.rawClient(t)
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
	if len(p.fromB.connected) > 0 {
		t.Error("b reported a connection")
	}
}

// A client without a trusted key receives the certificate of the endpoint and an alert.
func TestEndpoint_UntrustedClient_ReceivesNoMessage(t *testing.T) {
	p := newPair(t, nil)
	pair, _ := certificate(t)
	for name, certificates := range map[string][]tls.Certificate{"another key": {pair}, "no key": nil} {
		t.Run(name, func(t *testing.T) {
			settings := p.a.client.Clone()
			settings.Certificates = certificates
			c := p.rawClientWith(t, settings)
			time.Sleep(20 * time.Millisecond) // so that the endpoint has closed the connection
			_, _ = c.Write(raw(rawHello))     // fails in this case
			got, err := io.ReadAll(c)
			if len(got) > 0 || err == nil || !isAlert(err) {
				t.Errorf("the client received %d bytes, then %v; want an alert", len(got), err)
			}
		})
	}
	if len(p.fromB.connected)+len(p.fromB.received) > 0 {
		t.Error("b reported an event")
	}
}

func TestEndpoint_ClientWithTLS12Only_IsRefused(t *testing.T) {
	p := newPair(t, nil)
	settings := p.a.client.Clone() // with a trusted key
	settings.MinVersion, settings.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	dialer := tls.Dialer{Config: settings}
	if c, err := dialer.DialContext(t.Context(), "tcp", p.address.String()); err == nil || !isAlert(err) || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("%v, %v; want an alert because of the version", c, err)
	}
}

func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
