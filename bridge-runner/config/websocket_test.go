// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

func from(name, key string) *v1alpha1.SecretSource {
	return &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: name, Key: key}}
}

// transportFor returns the transport settings for a server with this URL and webSocket.
func transportFor(dir, url string, w *v1alpha1.WebSocket) (transport.Config, error) {
	return transportOf(&v1alpha1.Side{WebSocket: w}, &v1alpha1.Server{URL: url}, dir)
}

func TestTransport_HeadersAndQueryFromSecrets_ReadAtEachAttempt(t *testing.T) {
	dir := t.TempDir()
	w := &v1alpha1.WebSocket{
		Headers:   []v1alpha1.Header{{Name: "authorization", ValueFrom: from("gateway", "token")}, {Name: "X-Plant", Value: "one"}},
		QueryFrom: from("gateway", "query"),
	}
	_, err := transportFor(dir, "wss://h/mqtt", w)
	var missing *ReferenceError
	if !errors.As(err, &missing) || err.Error() != `Secret "gateway" with key "token" is missing (spec.remote.webSocket.headers[0].valueFrom.secretKeyRef); create it, and the bridge uses it without a restart` {
		t.Errorf("a missing Secret: %v", err)
	}
	write(t, dir, "gateway/token", "\uFEFFBearer first\n")
	if _, err = transportFor(dir, "wss://h/mqtt", w); !errors.As(err, &missing) || missing.Key != "query" {
		t.Errorf("a missing key: %v", err)
	}
	for url, want := range map[string]string{
		"wss://h":            "/?a=1&b=%20",
		"wss://h/mqtt":       "/mqtt?a=1&b=%20",
		"ws://h/mqtt?":       "/mqtt?a=1&b=%20",
		"wss://h/mqtt?c=3":   "/mqtt?c=3&a=1&b=%20",
		"wss://h/mqtt?c=3&":  "/mqtt?c=3&a=1&b=%20",
		"wss://h/mqtt?c=3?d": "/mqtt?c=3?d&a=1&b=%20",
	} {
		for _, query := range []string{"a=1&b=%20\r\n", "?a=1&b=%20", "\uFEFFa=1&b=%20"} {
			write(t, dir, "gateway/query", query)
			cfg, err := transportFor(dir, url, w)
			if err != nil || cfg.Path != want || cfg.Header.Get("Authorization") != "Bearer first" || cfg.Header.Get("X-Plant") != "one" {
				t.Errorf("%s: path %s, header %v, %v; want %s", url, cfg.Path, cfg.Header, err, want)
			}
		}
	}
	write(t, dir, "gateway/token", "Bearer second")
	write(t, dir, "gateway/query", "a=2")
	if cfg, err := transportFor(dir, "wss://h/mqtt", w); err != nil || cfg.Path != "/mqtt?a=2" || cfg.Header.Get("Authorization") != "Bearer second" {
		t.Errorf("after a rotation: %+v, %v", cfg, err)
	}
	if cfg, err := transportFor(dir, "mqtt://h", w); err != nil || cfg.Path != "" || len(cfg.Header) > 0 {
		t.Errorf("a server without WebSocket: %+v, %v", cfg, err)
	}
}

func TestTransport_WebSocketOfServer_OverridesSide(t *testing.T) {
	side := &v1alpha1.Side{WebSocket: &v1alpha1.WebSocket{QueryFrom: from("no", "where")}}
	own := &v1alpha1.WebSocket{Headers: []v1alpha1.Header{{Name: "X", Value: "1"}}}
	cfg, err := transportOf(side, &v1alpha1.Server{URL: "ws://h", WebSocket: own}, t.TempDir())
	if err != nil || cfg.Header.Get("X") != "1" || cfg.Path != "" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestTransport_UnusableValueInSecret_RefusedWithoutShowingIt(t *testing.T) {
	for name, c := range map[string]struct{ token, query, want string }{
		"a line end inside":          {"s3cr3t\ns3cr3t", "a=1", `Secret "gateway", key "token" (spec.remote.webSocket.headers[0].valueFrom.secretKeyRef): contains a line end or another control character, which is not allowed in a header; remove it`},
		"a control character":        {"s3cr3t\x00", "a=1", `Secret "gateway", key "token" (spec.remote.webSocket.headers[0].valueFrom.secretKeyRef): contains a line end or another control character, which is not allowed in a header; remove it`},
		"an empty header":            {"\n", "a=1", `Secret "gateway", key "token" (spec.remote.webSocket.headers[0].valueFrom.secretKeyRef): is empty; set a value`},
		"an empty query":             {"t", " ", `Secret "gateway", key "query" (spec.remote.webSocket.queryFrom.secretKeyRef): is empty; set a value`},
		"a space in the query":       {"t", "a=s3cr3t b", `Secret "gateway", key "query" (spec.remote.webSocket.queryFrom.secretKeyRef): contains a character that is not allowed in the query of a URL; write it in percent encoding, as in token=a%20b`},
		"a fragment in the query":    {"t", "a=s3cr3t#b", `Secret "gateway", key "query" (spec.remote.webSocket.queryFrom.secretKeyRef): contains a character that is not allowed in the query of a URL; write it in percent encoding, as in token=a%20b`},
		"a line end in the query":    {"t", "a=s3cr3t\nb", `Secret "gateway", key "query" (spec.remote.webSocket.queryFrom.secretKeyRef): contains a character that is not allowed in the query of a URL; write it in percent encoding, as in token=a%20b`},
		"a malformed escape":         {"t", "a=s3cr3t%2", `Secret "gateway", key "query" (spec.remote.webSocket.queryFrom.secretKeyRef): contains a character that is not allowed in the query of a URL; write it in percent encoding, as in token=a%20b`},
		"a value that is very large": {strings.Repeat("s3cr3t", 5000), "a=1", `Secret "gateway", key "token" (spec.remote.webSocket.headers[0].valueFrom.secretKeyRef): has more than 16384 bytes, which servers do not accept in a request; shorten it`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "gateway/token", c.token)
			write(t, dir, "gateway/query", c.query)
			_, err := transportFor(dir, "wss://h", &v1alpha1.WebSocket{
				Headers: []v1alpha1.Header{{Name: "X", ValueFrom: from("gateway", "token")}}, QueryFrom: from("gateway", "query"),
			})
			var refused *ReferenceError
			if !errors.As(err, &refused) || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestLoad_InvalidURLOrHeaders_ShowsNoSecret(t *testing.T) {
	const remote = `{primary: {url: "mqtt://remote:1883"}}`
	for name, side := range map[string]string{
		"a bad character":                 `{primary: {url: "wss://h/m?token=s3cr3t{"}}`,
		"a scheme that is not supported":  `{primary: {url: "https://h/m?token=s3cr3t"}}`,
		"no scheme":                       `{primary: {url: "h/m?token=s3cr3t"}}`,
		"a query without WebSocket":       `{primary: {url: "mqtts://h?token=s3cr3t"}}`,
		"a fragment":                      `{primary: {url: "wss://h/m#s3cr3t"}}`,
		"a port":                          `{primary: {url: "wss://h:99999/m?token=s3cr3t"}}`,
		"an at sign":                      `{primary: {url: "wss://h/m?me@s3cr3t"}}`,
		"a password":                      `{primary: {url: "wss://me:s3cr3t@h/m?s3cr3t"}}`,
		"a password with a ?":             `{primary: {url: "mqtt://me:s3cr3t?s3cr3t@h"}}`,
		"too long":                        `{primary: {url: "wss://h/m?s3cr3t` + strings.Repeat("s3cr3t", 50) + `"}}`,
		"twice":                           `{primary: {url: "wss://h/m?s3cr3t"}, backups: [{url: "wss://h/m?s3cr3t"}]}`,
		"TLS of a plain server":           `{primary: {url: "ws://h/m?s3cr3t", tls: {}}}`,
		"TLS of a plain side":             `{primary: {url: "ws://h/m?s3cr3t"}, tls: {}}`,
		"webSocket without WebSocket URL": `{primary: {url: "mqtt://h?s3cr3t"}, webSocket: {}}`,
		"a header of two lines":           `{primary: {url: "ws://h", webSocket: {headers: [{name: a, value: "s3cr3t\ns3cr3t"}]}}}`,
		"a header that is too long":       `{primary: {url: "ws://h", webSocket: {headers: [{name: a, value: "` + strings.Repeat("s3cr3t", 200) + `"}]}}}`,
		"a header of a number":            `{primary: {url: "ws://h", webSocket: {headers: [{name: a, value: 530372337}]}}}`,
		"a URL in place of a side":        `"wss://h/m?s3cr3t"`,
		"a URL in place of a server":      `{primary: "wss://h/m?s3cr3t"}`,
		"a proxy":                         `{primary: {url: "mqtt://h"}, proxy: {url: "http://p:1/?s3cr3t"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, t.TempDir(), "b.yaml", strings.Replace(minimal, remote, side, 1)))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, secret := range []string{"s3cr3t", "530372337"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows a secret: %v", err)
				}
			}
			if !strings.Contains(err.Error(), "spec.remote") {
				t.Errorf("the error does not name the field: %v", err)
			}
		})
	}
	t.Run("a header without quotes that begins like an alias", func(t *testing.T) {
		_, err := Load(write(t, t.TempDir(), "b.yaml", strings.Replace(minimal, remote, `{primary: {url: "ws://h", webSocket: {headers: [{name: a, value: *s3cr3t}]}}}`, 1)))
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "a value begins with * and has no quotes, so YAML reads it as an alias; write the value in quotes") {
			t.Error(err)
		}
	})
	t.Run("on both sides", func(t *testing.T) {
		_, err := Load(write(t, t.TempDir(), "b.yaml", strings.NewReplacer("mqtt://local:1883", "wss://h/?s3cr3t", "mqtt://remote:1883", "wss://h/?s3cr3t").Replace(minimal)))
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Error(err)
		}
	})
}
