// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"unicode"
)

// SetDefaultClientIDs sets the client identifiers that the spec leaves out. cluster
// identifies the cluster of the bridge, so that bridges with the same namespace and name in
// different clusters have different identifiers. It is empty for a bridge that runs outside
// a cluster.
func (b *MQTTBridge) SetDefaultClientIDs(cluster string) {
	for name, side := range map[string]*Side{"local": &b.Spec.Local, "remote": &b.Spec.Remote} {
		if side.ClientID == "" {
			side.ClientID = defaultClientID(cluster, b.Namespace, b.Name, name)
		}
		if side.Failover == nil {
			side.Failover = &Failover{}
		}
		if side.Failover.Probe == nil {
			side.Failover.Probe = &Probe{}
		}
		if probe := side.Failover.Probe; probe.ClientID == "" {
			probe.ClientID = defaultClientID(cluster, b.Namespace, b.Name, name+"-probe")
		}
	}
}

const (
	// maxPortableClientID is the length in bytes up to which every server accepts a client
	// identifier (MQTT 3.1.1 [MQTT-3.1.3-5]).
	maxPortableClientID = 23
	// clientIDHash is the number of characters of the hash in a default client identifier,
	// of 5 bits each. With 50 bits, two of 10,000 bridges on one server have the same
	// identifier with a probability of 1 to 20 million.
	clientIDHash = 10
)

// clientIDLetters encodes hashes in lower case, because some tools compare client
// identifiers without regard to case.
var clientIDLetters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// defaultClientID derives a client identifier that is the same after every restart, and
// that differs between clusters, bridges and the sides of a bridge. Every server accepts it:
// it has at most 23 letters and digits. It starts with the bridge's name, so that users
// recognize it, and ends with a hash of cluster, namespace, name and side.
func defaultClientID(cluster, namespace, name, side string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{cluster, namespace, name, side}, "/")))
	plain := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, name)
	return plain[:min(len(plain), maxPortableClientID-clientIDHash)] + clientIDLetters.EncodeToString(sum[:])[:clientIDHash]
}
