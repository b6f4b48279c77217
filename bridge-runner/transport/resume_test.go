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

func TestTLSSessions_ReconnectToABroker_Resumes(t *testing.T) {
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
					cfg, observed := withSessions(Config{HostPort: broker.Address(), TLS: clientTLS(pki), WebSocket: o.WebSocket, Path: "/mqtt"})
					cfg.TLS.MaxVersion = version
					if o.ClientCA != nil {
						cfg.TLS.Certificates = serverTLS(t, pki.Client("bridge")).Certificates
					}
					if gateway != nil {
						cfg.Proxy = gateway.URLFor("", "")
					}
					for range 3 {
						c := dial(t, cfg)
						wantMQTTEcho(t, c, 10)
						_ = c.Close()
					}
					observed.wantResumed(t, false, true, true)
				})
			}
		}
	}
}

func TestTLSSessions_ConnectionEndsAfterCONNACK_NextOneResumes(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for _, webSocket := range []bool{false, true} {
		broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{TLS: pki.Server(), WebSocket: webSocket})
		for name, version := range versions {
			t.Run(name, func(t *testing.T) {
				cfg, observed := withSessions(Config{HostPort: broker.Address(), TLS: clientTLS(pki), WebSocket: webSocket})
				cfg.TLS.MaxVersion = version
				for range 2 {
					c := dial(t, cfg)
					connectMQTT(t, c)
					_ = c.Close()
				}
				observed.wantResumed(t, false, true)
			})
		}
	}
}

func TestTLSSessions_BrokerRestarted_FullHandshakeWithoutError(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{TLS: pki.Server()})
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			cfg, observed := withSessions(Config{HostPort: broker.Address(), TLS: clientTLS(pki)})
			cfg.TLS.MaxVersion = version
			connectAndEcho := func() {
				c := dial(t, cfg)
				wantMQTTEcho(t, c, 10)
				_ = c.Close()
			}
			connectAndEcho()
			connectAndEcho()
			broker.Restart()
			connectAndEcho()
			connectAndEcho()
			observed.wantResumed(t, false, true, false, true)
		})
	}
}

func TestTLSSessions_TwoServers_HaveSeparateSessions(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			var cfgs [2]Config
			var observed [2]*handshakes
			for i := range cfgs { // on two ports of one host
				server := serverTLS(t, pki.Server())
				server.MaxVersion = version
				hostPort, _ := listenTLS(t, server)
				cfgs[i], observed[i] = withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
			}
			for range 3 { // alternates between the servers
				connectOnce(t, cfgs[0])
				connectOnce(t, cfgs[1])
			}
			observed[0].wantResumed(t, false, true, true)
			observed[1].wantResumed(t, false, true, true)
		})
	}
}

func TestTLSSessions_TwoAddressesOfAName_HaveSeparateSessions(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	first, _ := listenTLS(t, serverTLS(t, pki.Server()))
	second := net.JoinHostPort("127.0.0.2", port(t, first))
	other := serverTLS(t, pki.Server())
	listen(t, second, func(c net.Conn) {
		server := tls.Server(c, other)
		if server.Handshake() == nil {
			echo(server)
		}
	})
	cfg, observed := withSessions(Config{HostPort: net.JoinHostPort("cluster.resume.test", port(t, first)), TLS: clientTLS(pki)})
	for range 2 {
		for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
			setAddresses("cluster.resume.test", address)
			connectOnce(t, cfg)
		}
	}
	observed.wantResumed(t, false, false, true, true)
}

func TestTLSSessions_ManyAddresses_AreBounded(t *testing.T) {
	tickets := (&TLSSessions{}).newCache(&tls.Config{}).tickets
	now := time.Now()
	for i := range 3 * maxAddresses {
		cache := &ticketCache{tickets: tickets, now: func() time.Time { return now.Add(time.Duration(i)) }, address: string(rune('a' + i))}
		cache.Put("", &tls.ClientSessionState{})
		cache.succeeded(false)
	}
	if len(tickets.byAddress) != maxAddresses {
		t.Errorf("%d tickets are kept", len(tickets.byAddress))
	}
	newest := &ticketCache{tickets: tickets, now: time.Now, address: string(rune('a' + 3*maxAddresses - 1))}
	if _, ok := newest.Get(""); !ok {
		t.Error("the newest ticket is not kept")
	}
}

func TestTLSSessions_ResumptionFails_FullHandshakeInTheSameAttempt(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			var repaired atomic.Bool
			server := fixedTicketKeyTLS(t, pki.LongLived())
			server.MaxVersion = version
			server.UnwrapSession = func(identity []byte, state tls.ConnectionState) (*tls.SessionState, error) {
				if len(identity) > 0 && !repaired.Load() {
					return nil, net.ErrClosed
				}
				return server.DecryptTicket(identity, state)
			}
			hostPort, clients := listenWith(t, always(server))
			cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
			start, after := time.Now(), time.Duration(0)
			cfg.TLS.Time = func() time.Time { return start.Add(after) }
			for range 3 {
				connectOnce(t, cfg)
			}
			observed.wantResumed(t, false, false, false)
			if len(clients) != 3 {
				t.Errorf("%d handshakes", len(clients))
			}
			repaired.Store(true)
			connectOnce(t, cfg)
			after = distrustTime + time.Minute
			connectOnce(t, cfg)
			observed.wantResumed(t, false, true)
		})
	}
}

func TestTLSSessions_ServerClosesAfterResumption_NextHandshakeIsFull(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	cfg, observed := withSessions(Config{TLS: clientTLS(pki)})
	server := serverTLS(t, pki.Server())
	cfg.HostPort = listen(t, "127.0.0.1:0", func(c net.Conn) {
		secure := tls.Server(c, server)
		if secure.Handshake() == nil && !secure.ConnectionState().DidResume {
			echo(secure)
		}
		_ = secure.Close()
	})
	connectOnce(t, cfg)
	c := dial(t, cfg)
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("the server responds after resumption")
	}
	connectOnce(t, cfg)
	observed.wantResumed(t, false, true, false)
}

func TestTLSSessions_ConcurrentConnections_ShareSessions(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	hostPort, _ := listenTLS(t, serverTLS(t, pki.Server()))
	cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
	connectOnce(t, cfg)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			own := cfg
			own.TLS = clientTLS(pki)
			c, err := Dial(ctx, own)
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.Close()
		})
	}
	all.Wait()
	observed.wantResumed(t, false, true, true, true, true, true, true, true, true)
}
