// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import "github.com/mqttbridge/mqttbridge-operator/test/traffic"

// HasSession reports whether the broker holds a session of a client that is not connected. The
// session remains.
func (b *Broker) HasSession(clientID string) bool {
	b.t.Helper()
	present, err := traffic.HasSession(b.t.Context(), b.Dial, clientID)
	if err != nil {
		b.t.Fatal(err)
	}
	return present
}
