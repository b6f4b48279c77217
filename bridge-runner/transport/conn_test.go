// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// layers returns the configuration of a connection to an echo server for each combination of
// layers.
func layers(t *testing.T) map[string]Config {
	t.Helper()
	pki := mqtttest.NewPKI(t)
	secure, _ := listenTLS(t, serverTLS(t, pki.Server()))
	webSocket, _ := listenWebSocket(t, speaksMQTT, wsEcho)
	return map[string]Config{
		"TCP":       {HostPort: listen(t, "127.0.0.1:0", echo)},
		"TLS":       {HostPort: secure, TLS: clientTLS(pki)},
		"WebSocket": {HostPort: webSocket, WebSocket: true},
	}
}

func TestConn_EachTransport_MeasuresTheTCPConnection(t *testing.T) {
	for name, cfg := range layers(t) {
		t.Run(name, func(t *testing.T) {
			c := dial(t, cfg)
			before, received := c.Written(), c.LastReceived()
			time.Sleep(time.Millisecond) // so that the time of receipt differs
			wantEcho(t, c)
			if name == "TCP" && before != 0 || c.Written() == before {
				t.Errorf("%d bytes were written before, then %d", before, c.Written())
			}
			if !c.LastReceived().After(received) {
				t.Error("no bytes count as received")
			}
			if got := c.Transit(); got != (Transit{c.Written(), c.Written(), 0}) || c.Buffered() != 0 {
				t.Errorf("after the echo: %+v, %d bytes buffered", got, c.Buffered())
			}
			if err := c.WriteError(); err != nil || c.SoftError() != nil {
				t.Errorf("failed: %v, %v", err, c.SoftError())
			}
		})
	}
}

func TestConn_CloseWrite_EndsTheDataInEachLayer(t *testing.T) {
	for name, cfg := range layers(t) {
		t.Run(name, func(t *testing.T) {
			c := dial(t, cfg)
			const last = "last words"
			if _, err := io.WriteString(c, last); err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); err != nil || string(got) != last {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestConn_PeerDoesNotRead_WritesDoNotBlock(t *testing.T) {
	for name, cfg := range layers(t) {
		t.Run(name, func(t *testing.T) {
			c := dial(t, cfg)
			writable := make(chan struct{}, 1)
			c.OnWritable(func() {
				select {
				case writable <- struct{}{}:
				default:
				}
			})
			const size = 32 << 20 // the echo does not pass until it is read
			sent := make(chan error, 1)
			go func() {
				_, err := c.Write(make([]byte, size))
				sent <- err
			}()
			select {
			case err := <-sent:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(testTimeout):
				t.Fatal("the write blocks")
			}
			if c.Transit().Unsent == 0 {
				t.Error("the peer has received all data")
			}
			if n, err := io.CopyN(io.Discard, c, size); err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			<-writable
		})
	}
}

// dialBelow makes the TCP connection that Dial uses below all layers. Its writes block.
func dialBelow(t *testing.T, cfg *Config) *net.TCPConn {
	t.Helper()
	tcp, err := dialServer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	if err := tcp.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return tcp
}

// addTo adds the layers of cfg to a connection.
func addTo(t *testing.T, cfg *Config, below net.Conn) net.Conn {
	t.Helper()
	c, err := addLayers(t.Context(), cfg, cfg.Sessions.newCache(cfg.TLS), below)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
