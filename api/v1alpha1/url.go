// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strings"

// MaskedSecret replaces a secret in messages.
const MaskedSecret = "..."

// PublicURL returns a server's URL in the form that may be shown. Its query, its fragment
// and its user information are masked, because they may hold secrets. It accepts any text,
// because messages also show URLs that were refused. Applying it twice has the same result
// as applying it once.
//
// Status, conditions, events, logs and error messages show URLs only in this form.
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
		return scheme + MaskedSecret
	case at >= 0:
		rest = MaskedSecret + rest[at:]
		query = strings.IndexAny(rest, "?#")
	}
	if query >= 0 {
		rest = rest[:query+1] + MaskedSecret
	}
	return scheme + rest
}

// UsesWebSocket reports whether the scheme of the server's URL requires WebSocket.
func (s *Server) UsesWebSocket() bool {
	scheme, _, _ := strings.Cut(s.URL, "://")
	return scheme == "ws" || scheme == "wss"
}
