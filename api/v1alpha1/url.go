// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strings"

// Masked stands in messages in the place of a secret.
const Masked = "..."

// PublicURL returns the form of a server's URL that may be shown: its query, its
// fragment and its user information may hold secrets and are masked. It takes any text,
// because a URL that is refused is shown, too. Applying it twice is the same as once.
//
// Status, conditions, events, logs and error messages show URLs in this form only.
func PublicURL(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || strings.ContainsAny(scheme, "?#@") {
		scheme, rest = "", url
	} else {
		scheme += "://"
	}
	at, query := strings.LastIndex(rest, "@"), strings.IndexAny(rest, "?#")
	switch {
	case at >= 0 && query >= 0 && query < at:
		// Either a password with a question mark, or a query with an at sign.
		return scheme + Masked
	case at >= 0:
		rest = Masked + rest[at:]
		query = strings.IndexAny(rest, "?#")
	}
	if query >= 0 {
		rest = rest[:query+1] + Masked
	}
	return scheme + rest
}

// UsesWebSocket reports whether the server's URL asks for WebSocket.
func (s *Server) UsesWebSocket() bool {
	scheme, _, _ := strings.Cut(s.URL, "://")
	return scheme == "ws" || scheme == "wss"
}
