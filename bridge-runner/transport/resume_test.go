// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestAReconnectResumesTheTLSSessionOfABroker(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	ways := gateways(t, mqtttest.GatewayOptions{})
	ways["direct"] = nil
	for _, o := range []mqtttest.BrokerOptions{
		{Name: "TLS", TLS: pki.Server()},
		{Name: "TLS with client certificates", TLS: pki.Server(), ClientCA: pki.CA},
		{Name: "secure WebSocket", TLS: pki.Server(), WebSocket: true},
		{Name: "secure WebSocket with client certificates", TLS: pki.Server(), WebSocket: true, ClientCA: pki.CA},
	} {
		broker := mqtttest.StartBroker(t, o)
		for way, gateway := range ways {
			for name, version := range versions {
				t.Run(o.Name+" "+way+" "+name, func(t *testing.T) {
					cfg, shaken := remember(Config{HostPort: broker.Address(), TLS: trusting(pki), WebSocket: o.WebSocket, Path: "/mqtt"})
					cfg.TLS.MaxVersion = version
					if o.ClientCA != nil {
						cfg.TLS.Certificates = secure(t, pki.Client("bridge")).Certificates
					}
					if gateway != nil {
						cfg.Proxy = gateway.URLFor("", "")
					}
					for range 3 {
						c := dial(t, cfg)
						speaksWith(t, c, 10)
						_ = c.Close()
					}
					shaken.were(t, false, true, true)
				})
			}
		}
	}
}

func TestAConnectionThatEndsWithItsCONNACKHasASession(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for _, webSocket := range []bool{false, true} {
		broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{TLS: pki.Server(), WebSocket: webSocket})
		for name, version := range versions {
			t.Run(name, func(t *testing.T) {
				cfg, shaken := remember(Config{HostPort: broker.Address(), TLS: trusting(pki), WebSocket: webSocket})
				cfg.TLS.MaxVersion = version
				for range 2 {
					c := dial(t, cfg)
					connects(t, c)
					_ = c.Close()
				}
				shaken.were(t, false, true)
			})
		}
	}
}

func TestABrokerThatRestartedGetsAFullHandshakeAndNoError(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{TLS: pki.Server()})
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			cfg, shaken := remember(Config{HostPort: broker.Address(), TLS: trusting(pki)})
			cfg.TLS.MaxVersion = version
			speak := func() {
				c := dial(t, cfg)
				speaksWith(t, c, 10)
				_ = c.Close()
			}
			speak()
			speak()
			broker.Restart()
			speak()
			speak()
			shaken.were(t, false, true, false, true)
		})
	}
}

func TestTheSessionsOfServersDoNotMix(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			var cfgs [2]Config
			var shaken [2]*handshakes
			for i := range cfgs { // of one host, on two ports
				server := secure(t, pki.Server())
				server.MaxVersion = version
				hostPort, _ := listenTLS(t, server)
				cfgs[i], shaken[i] = remember(Config{HostPort: hostPort, TLS: trusting(pki)})
			}
			for range 3 { // over to the other and back
				visit(t, cfgs[0])
				visit(t, cfgs[1])
			}
			shaken[0].were(t, false, true, true)
			shaken[1].were(t, false, true, true)
		})
	}
}

func TestEachAddressOfANameHasItsOwnSession(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	first, _ := listenTLS(t, secure(t, pki.Server()))
	second := net.JoinHostPort("127.0.0.2", port(t, first))
	other := secure(t, pki.Server())
	listen(t, second, func(c net.Conn) {
		server := tls.Server(c, other)
		if server.Handshake() == nil {
			echo(server)
		}
	})
	cfg, shaken := remember(Config{HostPort: net.JoinHostPort("cluster.resume.test", port(t, first)), TLS: trusting(pki)})
	for range 2 {
		for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
			resolve("cluster.resume.test", address)
			visit(t, cfg)
		}
	}
	shaken.were(t, false, false, true, true)
}

func TestSessionsOfManyAddressesAreBounded(t *testing.T) {
	kept := (&TLSSessions{}).exchange(&tls.Config{}).tickets
	now := time.Now()
	for i := range 3 * maxAddresses {
		x := &exchange{tickets: kept, now: func() time.Time { return now.Add(time.Duration(i)) }, address: string(rune('a' + i))}
		x.Put("", &tls.ClientSessionState{})
		x.done(false)
	}
	if len(kept.of) != maxAddresses {
		t.Errorf("%d are kept", len(kept.of))
	}
	newest := &exchange{tickets: kept, now: time.Now, address: string(rune('a' + 3*maxAddresses - 1))}
	if _, ok := newest.Get(""); !ok {
		t.Error("the newest is not kept")
	}
}

func TestAServerThatFailsOverASessionGetsAFullHandshakeInTheSameAttempt(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			var mended atomic.Bool
			server := keeper(t, pki.LongLived())
			server.MaxVersion = version
			server.UnwrapSession = func(identity []byte, state tls.ConnectionState) (*tls.SessionState, error) {
				if len(identity) > 0 && !mended.Load() {
					return nil, net.ErrClosed
				}
				return server.DecryptTicket(identity, state)
			}
			hostPort, clients := listenWith(t, always(server))
			cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
			start, after := time.Now(), time.Duration(0)
			cfg.TLS.Time = func() time.Time { return start.Add(after) }
			for range 3 {
				visit(t, cfg)
			}
			shaken.were(t, false, false, false)
			if len(clients) != 3 {
				t.Errorf("%d handshakes", len(clients))
			}
			mended.Store(true)
			visit(t, cfg)
			after = mistrusted + time.Minute
			visit(t, cfg)
			shaken.were(t, false, true)
		})
	}
}

func TestAServerThatTakesASessionUpAndClosesGetsAFullHandshakeNext(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	cfg, shaken := remember(Config{TLS: trusting(pki)})
	server := secure(t, pki.Server())
	cfg.HostPort = listen(t, "127.0.0.1:0", func(c net.Conn) {
		secure := tls.Server(c, server)
		if secure.Handshake() == nil && !secure.ConnectionState().DidResume {
			echo(secure)
		}
		_ = secure.Close()
	})
	visit(t, cfg)
	c := dial(t, cfg)
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("the server answers")
	}
	visit(t, cfg)
	shaken.were(t, false, true, false)
}

func TestConnectionsAtOnceShareTheSessions(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	hostPort, _ := listenTLS(t, secure(t, pki.Server()))
	cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
	visit(t, cfg)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), enough)
			defer cancel()
			own := cfg
			own.TLS = trusting(pki)
			c, err := Dial(ctx, own)
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.Close()
		})
	}
	all.Wait()
	shaken.were(t, false, true, true, true, true, true, true, true, true)
}
