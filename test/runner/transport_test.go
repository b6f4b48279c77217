// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// way is the transport between a bridge and its primary server.
type way struct {
	name    string
	broker  mqtttest.BrokerOptions
	path    string
	gateway *mqtttest.Gateway // with the login plant, secret
}

// lineBy returns a line whose primary is reached by the given transport.
func lineBy(t *testing.T, w way) *line {
	t.Helper()
	w.broker.Name, w.broker.Persistence = "primary", true
	l := &line{
		t:       t,
		local:   mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Persistence: true, MaxInflight: localInflight}),
		primary: mqtttest.StartBroker(t, w.broker),
		backup:  mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "backup-1", Persistence: true}),
	}
	l.manifest = downToo(retry(manifest("line", l.local.URL(), l.primary.URL()+w.path, l.backup.URL()), 100, 1))
	primary := &l.manifest.Spec.Remote.Primary
	if w.broker.TLS != nil {
		primary.TLS = mqtttest.TrustConfigMap("ca")
	}
	if w.gateway != nil {
		primary.Proxy = &v1alpha1.Proxy{URL: w.gateway.URL(), Credentials: mqtttest.Login("proxy-login")}
	}
	l.collector = mqtttest.StartCollector(t, "up/#", "up", l.primary, l.backup)
	return l
}

// prepare creates the line's runner with the files that its manifest references.
func (l *line) prepare(pki *mqtttest.PKI) *mqtttest.Runner {
	l.t.Helper()
	return l.configure(mqtttest.NewRunner(l.t, l.manifest), pki)
}

// configure makes r the line's runner, with the files that its manifest references.
func (l *line) configure(r *mqtttest.Runner, pki *mqtttest.PKI) *mqtttest.Runner {
	l.t.Helper()
	l.runner = r
	l.runner.SetFile(mqtttest.ConfigMap("ca"), "ca.crt", string(pki.CA))
	l.runner.SetFile("proxy-login", "username", "plant")
	l.runner.SetFile("proxy-login", "password", "secret")
	return l.runner
}

// gateways returns one gateway of each kind.
func gateways(t *testing.T) []*mqtttest.Gateway {
	t.Helper()
	o := mqtttest.GatewayOptions{User: "plant", Password: "secret"}
	return []*mqtttest.Gateway{mqtttest.StartSOCKS(t, o), mqtttest.StartHTTPGateway(t, o)}
}

func TestTransport_EachKind_ForwardsAndFailsOver(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	g := gateways(t)
	for _, w := range []way{
		{name: "ws", broker: mqtttest.BrokerOptions{WebSocket: true}},
		{name: "wss with a path", broker: mqtttest.BrokerOptions{WebSocket: true, TLS: pki.Server()}, path: "/mqtt?token=x%20y"},
		{name: "SOCKS5", gateway: g[0]},
		{name: "HTTP CONNECT", gateway: g[1]},
		{name: "mqtts over SOCKS5", broker: mqtttest.BrokerOptions{TLS: pki.Server()}, gateway: g[0]},
		{name: "wss over HTTP CONNECT", broker: mqtttest.BrokerOptions{WebSocket: true, TLS: pki.Server()}, gateway: g[1]},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			l := lineBy(t, w)
			r := l.prepare(pki)
			r.Start()
			r.WaitActive("primary", eventTimeout)
			back := mqtttest.StartCollector(t, "down/#", "down", l.local)
			down := mqtttest.StartPublisher(t, l.primary, traffic.PublisherConfig{Topic: "down/x", Stream: "down", QoS: 1, Rate: 500, Count: 200, Size: 128})
			l.stream(1, 500)
			must(t, down.WaitDone(eventTimeout))
			judge(t, down, back, back.WaitAll(down.Ledger(), eventTimeout))
			l.flow(500)
			l.primary.Kill()
			r.WaitActive("backup-1", eventTimeout)
			l.flow(500)
			l.finish()
		})
	}
}

// The payloads of messages of 32 KiB are in buffers that are used again. The runner has the race
// detector, with which a buffer is overwritten when it is released. WebSocket over TLS is left out:
// Mosquitto 2.0 sends large messages too slowly over it.
func TestTransport_LargeMessages_ArriveUnchangedOverALossAndASwitch(t *testing.T) {
	t.Parallel()
	const size, rate = 32 << 10, 20
	pki := mqtttest.NewPKI(t)
	for _, w := range []way{
		{name: "mqtt"},
		{name: "mqtts", broker: mqtttest.BrokerOptions{TLS: pki.Server()}},
		{name: "ws", broker: mqtttest.BrokerOptions{WebSocket: true}},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			l := lineBy(t, w)
			r := l.configure(mqtttest.NewRaceRunner(t, l.manifest), pki)
			r.Start()
			r.WaitActive("primary", eventTimeout)
			back := mqtttest.StartCollector(t, "down/#", "down", l.local)
			down := mqtttest.StartPublisher(t, l.primary, traffic.PublisherConfig{Topic: "down/x", Stream: "down", QoS: 1, Rate: rate, Count: rate, Size: size})
			l.publisher = mqtttest.StartPublisher(t, l.local, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 2, Rate: rate, Size: size})
			must(t, down.WaitDone(eventTimeout))
			judge(t, down, back, back.WaitAll(down.Ledger(), eventTimeout))
			l.flow(rate)
			l.primary.Kill()
			r.WaitActive("backup-1", eventTimeout)
			l.flow(rate)
			l.finish()
		})
	}
}

func TestProxy_Lost_FailsOverAndIsReported(t *testing.T) {
	t.Parallel()
	for i, g := range gateways(t) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			pki := mqtttest.NewPKI(t)
			l := lineBy(t, way{gateway: g})
			r := l.prepare(pki)
			r.Start()
			r.WaitActive("primary", eventTimeout)
			l.stream(1, 500)
			g.Kill()
			r.WaitActive("backup-1", eventTimeout)
			l.backup.Stop() // so that the bridge tries the primary again
			r.WaitStatus(eventTimeout, "the status names the proxy", func(s v1alpha1.MQTTBridgeStatus) error {
				return failed(s, 0, v1alpha1.ReasonProxyFailed, g.URLFor("", "").Host, "cannot be reached: connection refused", "proxy.url")
			})
			g.Start()
			r.WaitActive("primary", eventTimeout)
			l.backup.Start()
			l.finish()
		})
	}
}

func TestProxy_LoginRefusedAndCorrected_IsReportedAndConnects(t *testing.T) {
	t.Parallel()
	for i, g := range gateways(t) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			pki := mqtttest.NewPKI(t)
			l := lineBy(t, way{gateway: g})
			l.manifest.Spec.Remote.Backups = nil
			r := l.prepare(pki)
			r.SetFile("proxy-login", "password", "mistyped")
			r.Start()
			r.WaitStatus(eventTimeout, "the status names the refused login", func(s v1alpha1.MQTTBridgeStatus) error {
				if s.Remote == nil || len(s.Remote.Servers) == 0 {
					return fmt.Errorf("the status has no servers")
				}
				return failed(s, 0, v1alpha1.ReasonProxyFailed, "the proxy "+g.URLFor("", "").Host+" refuses the user name or password; check proxy.credentials")
			})
			if strings.Contains(r.Log(), "mistyped") {
				t.Error("the log contains the password")
			}
			r.SetFile("proxy-login", "password", "secret")
			r.WaitActive("primary", eventTimeout)
		})
	}
}

func TestWebSocket_ServerWithoutWebSocket_IsReported(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Spec.Remote.Primary.URL = strings.Replace(l.primary.URL(), "mqtt://", "ws://", 1) + "/mqtt"
	l.runner = mqtttest.StartRunner(t, l.manifest)
	s := l.runner.WaitActive("backup-1", eventTimeout)
	if err := failed(s, 0, v1alpha1.ReasonWebSocketRefused, "WebSocket", "scheme, port and path"); err != nil {
		t.Error(err)
	}
}

// gate accepts TLS for one ALPN protocol only, like AWS IoT Core on port 443, and forwards the data
// to a broker.
func gate(t *testing.T, pair *mqtttest.KeyPair, protocol, broker string) (url string) {
	t.Helper()
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	must(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}})
	must(t, err)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { carry(c.(*tls.Conn), protocol, broker) })
		}
	})
	return "mqtts://" + strings.Replace(l.Addr().String(), "127.0.0.1", "localhost", 1)
}

func carry(c *tls.Conn, protocol, broker string) {
	defer func() { _ = c.Close() }()
	if c.Handshake() != nil || c.ConnectionState().NegotiatedProtocol != protocol {
		return
	}
	b, err := net.Dial("tcp", broker)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(b, c)
		_ = b.Close()
	}()
	_, _ = io.Copy(c, b)
}

func TestALPN_ServerRequiresProtocol_ConnectsWithIt(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	l := lineBy(t, way{})
	primary := &l.manifest.Spec.Remote.Primary
	primary.URL = gate(t, pki.Server(), "x-amzn-mqtt-ca", l.primary.Address())
	primary.TLS = mqtttest.TrustConfigMap("ca")
	primary.TLS.ALPN = []string{"x-amzn-mqtt-ca"}
	r := l.prepare(pki)
	r.Start()
	r.WaitActive("primary", eventTimeout)
	r.Terminate()

	primary.TLS.ALPN = []string{"h2"}
	r = l.prepare(pki)
	r.Start()
	s := r.WaitActive("backup-1", eventTimeout)
	if err := failed(s, 0, v1alpha1.ReasonTLSFailed, "tls.alpn"); err != nil {
		t.Error(err)
	}
}
