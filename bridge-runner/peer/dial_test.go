// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// Otherwise a caller would treat a connection that exists as missing, and dial again.
func TestDial_Connected_HandlerHasReceivedTheConnection(t *testing.T) {
	p := newPair(t, nil)
	for range 100 {
		c := dial(t, p.a, p.address)
		select {
		case got := <-p.fromA.connected:
			if got != c {
				t.Fatal("the Handler has received another connection than Dial returned")
			}
		default:
			t.Fatal("Dial has returned before the Handler received the connection")
		}
	}
}

func TestDial_Failure_ReturnsTheEvidence(t *testing.T) {
	const limit = 500 * time.Millisecond // of a dial that gets no answer
	p := newPair(t, nil)
	_, stranger := certificate(t)
	for name, test := range map[string]struct {
		trusted func(Fingerprint) bool // nil: a's
		address func(t *testing.T) netip.AddrPort
		want    Evidence
		text    string
	}{
		"closed port":        {address: closedPort, want: Refused, text: "connection refused"},
		"accepts and waits":  {address: listener(mqtttest.NeverAnswer), want: NoAnswer},
		"accepts and closes": {address: listener(mqtttest.CloseImmediately), want: NoAnswer},
		"accepts and resets": {address: listener(reset), want: NoAnswer},
		"no route":           {address: func(*testing.T) netip.AddrPort { return netip.MustParseAddrPort("255.255.255.255:1") }, want: NoAnswer},
		"another protocol":   {address: listener(mqtttest.AnswerNonMQTT), want: Untrusted},
		"the other end's key": {
			trusted: trust(stranger), address: func(*testing.T) netip.AddrPort { return p.address },
			want: Untrusted, text: "its fingerprint is " + string(p.fingerB),
		},
		"own key": {address: func(t *testing.T) netip.AddrPort {
			t.Helper()
			suspicious, _ := start(t, "b", p.certB, trust(stranger), nil)
			return serve(t, suspicious)
		}, want: Untrusted, text: "bad certificate"},
		"TLS 1.2 only": {address: func(t *testing.T) netip.AddrPort {
			t.Helper()
			old, _ := start(t, "b", p.certB, trust(p.fingerA), nil)
			old.server.MinVersion, old.server.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			return serve(t, old)
		}, want: Untrusted, text: "protocol version"},
		"other group": {address: func(t *testing.T) netip.AddrPort {
			t.Helper()
			other, _ := start(t, "b", p.certB, trust(p.fingerA), func(c *Config) { c.Group = "default/other" })
			return serve(t, other)
		}, want: Untrusted, text: `its group is "default/other"`},
		"itself": {trusted: trust(p.fingerA), address: func(t *testing.T) netip.AddrPort {
			t.Helper()
			self, _ := start(t, "a", p.certA, trust(p.fingerA), nil)
			return serve(t, self)
		}, want: Untrusted, text: "this process's own"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.trusted == nil {
				test.trusted = trust(p.fingerB)
			}
			a, events := start(t, "a", p.certA, test.trusted, nil)
			address := test.address(t)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			if test.want != NoAnswer {
				ctx, cancel = context.WithTimeout(t.Context(), testTimeout)
			}
			defer cancel()
			started := time.Now()
			c, evidence, err := a.Dial(ctx, address)
			if evidence != test.want || c != nil || err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%s: %v; want %s: %s", evidence, err, test.want, test.text)
			}
			var untrusted *UntrustedError
			if errors.As(err, &untrusted) != (name == "the other end's key") || untrusted != nil && untrusted.Fingerprint != p.fingerB {
				t.Errorf("the error is %#v", err)
			}
			if took := time.Since(started); took > limit+testTimeout/2 {
				t.Errorf("the dial took %s", took)
			}
			if len(events.connected) > 0 {
				t.Error("a connection is reported")
			}
		})
	}
}

func TestDial_EndpointClosed_ReturnsAtOnce(t *testing.T) {
	p := newPair(t, nil)
	address := listener(mqtttest.NeverAnswer)(t)
	done := make(chan Evidence, 1)
	go func() {
		_, evidence, _ := p.a.Dial(context.Background(), address)
		done <- evidence
	}()
	time.Sleep(20 * time.Millisecond) // the handshake begins; an earlier end is correct, too
	p.a.Close()
	if got := await(t, done, "the dial"); got != NoAnswer {
		t.Errorf("the evidence is %s", got)
	}
	if _, evidence, _ := p.a.Dial(t.Context(), p.address); evidence != NoAnswer {
		t.Errorf("a closed endpoint dials: %s", evidence)
	}
}

func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(mqtttest.FreeAddress(t))
}

// listener starts a server that handles each connection in this way.
func listener(fault mqtttest.Fault) func(t *testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		t.Helper()
		server := mqtttest.StartFaulty(t, fault)
		return netip.MustParseAddrPort(strings.TrimPrefix(server.URL(), "mqtt://"))
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
