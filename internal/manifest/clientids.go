// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// ClientIDUse is a client identifier of a bridge, and the servers that it is used with.
type ClientIDUse struct {
	// Field is the field that holds the identifier, in the spec.
	Field, ID string
	Side      *v1alpha1.Side
}

// ClientIDs returns the client identifiers of a bridge that the spec or SetDefaultClientIDs
// has set.
func ClientIDs(b *v1alpha1.MQTTBridge) []ClientIDUse {
	var out []ClientIDUse
	for _, s := range []struct {
		name string
		side *v1alpha1.Side
	}{{SideLocal, &b.Spec.Local}, {SideRemote, &b.Spec.Remote}} {
		if s.side.ClientID != "" {
			out = append(out, ClientIDUse{s.name + ".clientID", s.side.ClientID, s.side})
		}
		if f := s.side.Failover; f != nil && f.Probe != nil && f.Probe.ClientID != "" {
			out = append(out, ClientIDUse{s.name + ".failover.probe.clientID", f.Probe.ClientID, s.side})
		}
	}
	return out
}

// ClientIDKeys returns a text for each client identifier with the address of each server that it
// is used with. Two bridges with a common key end each other's sessions.
func ClientIDKeys(uses []ClientIDUse, namespace string) []string {
	var out []string
	for _, u := range uses {
		for _, address := range Addresses(u.Side, namespace) {
			out = append(out, address+" "+u.ID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
