// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// swapped returns a broker's URL with another scheme.
func swapped(b *mqtttest.Broker, scheme string) string {
	_, rest, _ := strings.Cut(b.URL(), "://")
	return scheme + "://" + rest
}

func TestPort_OfAnotherProtocol_SaysWhatToChange(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	start := func(o mqtttest.BrokerOptions) *mqtttest.Broker { return mqtttest.StartBroker(t, o) }
	local := start(mqtttest.BrokerOptions{Name: "local"})
	plain, secure := start(mqtttest.BrokerOptions{Name: "plain"}), start(mqtttest.BrokerOptions{Name: "secure", TLS: pki.Server()})
	ws, wss := start(mqtttest.BrokerOptions{Name: "ws", WebSocket: true}), start(mqtttest.BrokerOptions{Name: "wss", WebSocket: true, TLS: pki.Server()})
	// This server answers like Erlang and Netty; Mosquitto and Go close the connection instead.
	alerts, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = alerts.Close() })
	go func() {
		for {
			c, err := alerts.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "\x15\x03\x03\x00\x02\x02\x0a")
			_ = c.Close()
		}
	}()
	for _, c := range []struct {
		name, url, reason string
		words             []string
	}{
		{"mqtt to TLS of Mosquitto", swapped(secure, "mqtt"), "", []string{"scheme and port"}},
		{"mqtt to TLS with alerts", "mqtt://" + alerts.Addr().String(), v1alpha1.ReasonProtocolError, []string{"the server uses TLS on this port", "mqtts://"}},
		{"mqtts to plain", swapped(plain, "mqtts"), v1alpha1.ReasonTLSFailed, []string{"check that it expects TLS on this port"}},
		{"ws to wss", swapped(wss, "ws"), "", []string{"scheme"}},
		{"ws to TLS with alerts", "ws://" + alerts.Addr().String(), v1alpha1.ReasonWebSocketRefused, []string{"the server uses TLS on this port", "wss://"}},
		{"wss to ws", swapped(ws, "wss"), v1alpha1.ReasonTLSFailed, []string{"TLS on this port"}},
		{"ws to plain", swapped(plain, "ws"), v1alpha1.ReasonWebSocketRefused, []string{"scheme, port and path"}},
		{"mqtt to ws", swapped(ws, "mqtt"), "", []string{"scheme and port"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := retry(manifest("port-"+strings.ReplaceAll(strings.ToLower(c.name), " ", "-"), local.URL(), c.url), 100, 1)
			if strings.HasPrefix(c.url, "mqtts") || strings.HasPrefix(c.url, "wss") {
				b.Spec.Remote.TLS = mqtttest.TrustSecret("ca")
			}
			r := mqtttest.NewRunner(t, b)
			r.SetFile("ca", "ca.crt", string(pki.CA))
			r.Start()
			s := r.WaitStatus(eventTimeout, "the server fails", func(s v1alpha1.MQTTBridgeStatus) error {
				if s.Remote == nil || s.Remote.Servers[0].LastError == nil {
					return io.EOF
				}
				return nil
			})
			reason := c.reason
			if reason == "" {
				reason = s.Remote.Servers[0].LastError.Reason
			}
			t.Log(s.Remote.Servers[0].LastError)
			if err := failed(s, 0, reason, c.words...); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTLS_HostWithTrailingDot_IsVerifiedWithoutIt(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	for name, o := range map[string]mqtttest.BrokerOptions{
		"mqtts": {Name: "remote", TLS: pki.Server()},
		"wss":   {Name: "remote", TLS: pki.Server(), WebSocket: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remote := mqtttest.StartBroker(t, o)
			b := manifest("dot-"+name, local.URL(), strings.Replace(remote.URL(), "localhost", "localhost.", 1))
			b.Spec.Remote.TLS = mqtttest.TrustSecret("ca")
			r := mqtttest.NewRunner(t, b)
			// The CA has a byte order mark and CRLF line ends, as an editor on Windows may write.
			r.SetFile("ca", "ca.crt", "\uFEFF"+strings.ReplaceAll(string(pki.CA), "\n", "\r\n"))
			r.Start()
			r.WaitActive("primary", eventTimeout)
		})
	}
}
