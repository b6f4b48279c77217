// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"time"
)

// Expiry says when the certificates of a TLS connection expire. Each time is zero if there is no
// such certificate.
type Expiry struct {
	// Server is the time of the server's own certificate.
	Server time.Time
	// Authority is the time of the trusted authority at the end of the server's chain. If there
	// are several verified chains, it is the latest time, because one chain is sufficient.
	Authority time.Time
	// Client is the time of the bridge's client certificate.
	Client time.Time
}

// expiryOf returns the expiry of the certificates of a connection. A resumed session has the
// certificates of the session that it resumes.
func expiryOf(state *tls.ConnectionState, client []tls.Certificate) Expiry {
	var out Expiry
	if len(state.PeerCertificates) > 0 {
		out.Server = state.PeerCertificates[0].NotAfter
	}
	for _, chain := range state.VerifiedChains {
		if end := chain[len(chain)-1].NotAfter; end.After(out.Authority) {
			out.Authority = end
		}
	}
	if len(client) > 0 && client[0].Leaf != nil {
		out.Client = client[0].Leaf.NotAfter
	}
	return out
}
