// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// apiGateway is an API gateway in front of a broker's WebSocket listener. It accepts only requests
// that have the token in a header and in the query.
type apiGateway struct {
	*httptest.Server
	token atomic.Pointer[string]
}

func startAPIGateway(t *testing.T, broker *mqtttest.Broker, token string) *apiGateway {
	t.Helper()
	g := &apiGateway{}
	g.token.Store(&token)
	target := &url.URL{Scheme: "http", Host: broker.Address()}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := *g.token.Load()
		if r.Header.Get("Authorization") != "Bearer "+want || r.Header.Get("X-Plant") != "one" ||
			r.URL.Path != "/mqtt" || r.URL.RawQuery != "v=1&sig="+url.QueryEscape(want) {
			http.Error(w, r.URL.String()+" with "+r.Header.Get("Authorization")+" is not allowed", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

// url returns the URL of the gateway, with a query.
func (g *apiGateway) url() string { return strings.Replace(g.URL, "http://", "ws://", 1) + "/mqtt?v=1" }

func secretKey(name, key string) *v1alpha1.SecretSource {
	return &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: name, Key: key}}
}

// withToken returns settings that read the token from the Secret gateway.
func withToken() *v1alpha1.WebSocket {
	return &v1alpha1.WebSocket{
		Headers:   []v1alpha1.Header{{Name: "authorization", ValueFrom: secretKey("gateway", "authorization")}, {Name: "X-Plant", Value: "one"}},
		QueryFrom: secretKey("gateway", "query"),
	}
}

func setToken(r *mqtttest.Runner, token string) {
	r.SetFile("gateway", "authorization", "Bearer "+token+"\n")
	r.SetFile("gateway", "query", "sig="+url.QueryEscape(token)+"\n")
}

// checkNoSecrets fails the test if the log, the status or the metrics of the runner contain one of
// the secrets.
func checkNoSecrets(t *testing.T, r *mqtttest.Runner, secrets ...string) {
	t.Helper()
	s, err := r.Status()
	must(t, err)
	status, err := json.Marshal(s)
	must(t, err)
	for where, text := range map[string]string{"log": r.Log(), "status": string(status), "metrics": fmt.Sprint(r.Metrics())} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("the %s contains %q:\n%s", where, secret, text)
			}
		}
	}
}

func TestWebSocket_GatewayRequiresTokenFromSecret_Connects(t *testing.T) {
	t.Parallel()
	const first, second = "f1rst/t0ken+=", "s3cond/t0ken+="
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", WebSocket: true})
	gateway := startAPIGateway(t, remote, first)
	b := retry(manifest("gateway", local.URL(), gateway.url()), 100, 1)
	b.Spec.Remote.WebSocket = withToken()
	b.Spec.Runner = &v1alpha1.Runner{LogLevel: v1alpha1.LogLevelDebug}
	r := mqtttest.NewRunner(t, b)
	r.Start()
	refused := func(reason string, words ...string) {
		t.Helper()
		r.WaitStatus(eventTimeout, "the server fails with "+reason, func(s v1alpha1.MQTTBridgeStatus) error { return failed(s, 0, reason, words...) })
	}
	refused(v1alpha1.ReasonReferenceMissing, `Secret "gateway" with key "authorization" is missing`)
	r.SetFile("gateway", "authorization", "Bearer "+first)
	refused(v1alpha1.ReasonReferenceMissing, `Secret "gateway" with key "query" is missing`)
	setToken(r, first)
	s := r.WaitActive("primary", eventTimeout)
	if got, want := s.Remote.Active.URL, strings.Replace(gateway.url(), "v=1", "...", 1); got != want {
		t.Errorf("the active server's URL is shown as %s, want %s", got, want)
	}
	c := mqtttest.StartCollector(t, "up/#", "s", remote)
	p := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/x", Stream: "s", QoS: 1, Rate: 1000, Count: 300})
	must(t, p.WaitDone(eventTimeout))
	onceEach(t, judge(t, p, c, c.WaitAll(p.Ledger(), eventTimeout)))

	rotated := second
	gateway.token.Store(&rotated)
	remote.Restart() // this ends the connection
	refused(v1alpha1.ReasonWebSocketRefused, "HTTP 401 Unauthorized", "the Secrets that webSocket names")
	setToken(r, second)
	r.WaitActive("primary", eventTimeout)
	checkNoSecrets(t, r, first, second, url.QueryEscape(first), url.QueryEscape(second))
}

// echoes are web servers that repeat the request in their responses.
var echoes = map[string]http.HandlerFunc{
	"redirects": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example/"+r.URL.Query().Get("sig")+"?next="+url.QueryEscape(r.URL.String()), http.StatusFound)
	},
	"refuses": func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.URL.String()+r.Header.Get("Authorization"), http.StatusForbidden)
	},
	"answers with the request": func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 "+r.URL.RawQuery+"\r\n\r\n")
			_ = c.Close()
		}
	},
	"answers with a header of the request": func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 101 "+r.URL.RawQuery+"\r\nUpgrade "+r.URL.RawQuery+"\r\nSec-WebSocket-Accept: "+r.Header.Get("Authorization")+"\r\n\r\n")
			_ = c.Close()
		}
	},
}

func TestWebSocket_ServerRepeatsRequest_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	const token = "s3cr3t-t0ken"
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	for name, handler := range echoes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			b := retry(manifest("echo", local.URL(), strings.Replace(server.URL, "http://", "ws://", 1)+"/mqtt?sig="+token), 50, 1)
			b.Spec.Local.ClientID = "echo-" + strings.ReplaceAll(name, " ", "-")
			b.Spec.Remote.WebSocket = &v1alpha1.WebSocket{Headers: []v1alpha1.Header{{Name: "Authorization", ValueFrom: secretKey("gateway", "authorization")}}}
			b.Spec.Runner = &v1alpha1.Runner{LogLevel: v1alpha1.LogLevelDebug}
			r := mqtttest.NewRunner(t, b)
			setToken(r, token)
			r.Start()
			r.WaitStatus(eventTimeout, "the server is refused", func(s v1alpha1.MQTTBridgeStatus) error {
				return failed(s, 0, v1alpha1.ReasonWebSocketRefused)
			})
			s, err := r.Status()
			must(t, err)
			t.Log(s.Remote.Servers[0].LastError.Message)
			checkNoSecrets(t, r, token)
			if !strings.Contains(r.Log(), "/mqtt?...") {
				t.Errorf("the log does not name the server's URL:\n%s", r.Log())
			}
		})
	}
}
