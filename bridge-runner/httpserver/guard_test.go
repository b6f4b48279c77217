// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// ask returns the answer of a guarded handler to a request for a host that came in on an address.
func ask(t *testing.T, host, localIP string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Host = host
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(localIP), Port: 8080}))
	recorder := httptest.NewRecorder()
	Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "state") })).ServeHTTP(recorder, r)
	return recorder.Result()
}

func TestGuard_NameOfAnotherSiteOnLoopback_IsRefused(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, local string
		want        int
	}{
		{"localhost:8080", "127.0.0.1", http.StatusOK},
		{"LOCALHOST.", "::1", http.StatusOK},
		{"runner.localhost", "127.0.0.1", http.StatusOK},
		{"127.0.0.1:8080", "127.0.0.1", http.StatusOK},
		{"[::1]:8080", "::1", http.StatusOK},
		{"[::1]", "::1", http.StatusOK},
		{"192.0.2.7", "127.0.0.1", http.StatusOK},
		{"edge-7:8080", "127.0.1.1", http.StatusOK},
		{own, "127.0.1.1", http.StatusOK},
		{"", "127.0.0.1", http.StatusOK}, // HTTP/1.0
		{"attacker.example", "127.0.0.1", http.StatusMisdirectedRequest},
		{"attacker.example:8080", "::1", http.StatusMisdirectedRequest},
		{"localhost.attacker.example", "127.0.0.1", http.StatusMisdirectedRequest},
		{own + ".attacker.example", "127.0.1.1", http.StatusMisdirectedRequest},
		{"127.0.0.1.attacker.example", "127.0.0.1", http.StatusMisdirectedRequest},
		// The runner does not know the names of its other addresses: docs/security.md says who may reach them.
		{"runner.example", "192.0.2.7", http.StatusOK},
	} {
		resp := ask(t, c.host, c.local)
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("a request for %q on %s: %s, want %d", c.host, c.local, resp.Status, c.want)
		}
	}
}

func TestGuard_AllAnswers_ForbidUseByOtherSites(t *testing.T) {
	for _, host := range []string{"localhost", "attacker.example"} {
		resp := ask(t, host, "127.0.0.1")
		_ = resp.Body.Close()
		for name, want := range map[string]string{
			"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: the header %s is %q, want %q", host, name, got, want)
			}
		}
	}
}
