// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// Guard protects a handler without a login against web pages that a browser shows, on this machine or in
// its network:
//
//   - No page of another origin may embed an answer, and a browser executes no part of it, unless the
//     handler sets another Content-Security-Policy.
//   - On a loopback address it answers only requests for an IP address or a name of this machine. A
//     web page can make the browser resolve a name of its own domain to 127.0.0.1 (DNS rebinding), and
//     could then read the answers as answers of its own origin.
func Guard(handler http.Handler) http.Handler {
	hostName, _ := os.Hostname() // without a name, only the other names are known
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors
		if arrivedOnLoopback(r) && !isLocalName(r.Host, hostName) {
			http.Error(w, fmt.Sprintf("the request is for the host %q, and came in on a loopback address; use localhost or an IP address, and let a proxy set the Host header to one of them", r.Host), http.StatusMisdirectedRequest)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// arrivedOnLoopback reports whether the client has connected to a loopback address.
func arrivedOnLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}

// isLocalName reports whether a Host header has an IP address, or a name that no one else can own: a name
// without a dot, a name below localhost, or the host name of this machine.
func isLocalName(header, hostName string) bool {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.EqualFold(host, hostName)
}
