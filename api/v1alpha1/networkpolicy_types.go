// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import networkingv1 "k8s.io/api/networking/v1"

// NetworkPolicy limits the connections that the pods of the bridge open: to DNS on ports 53 and
// 5353, to the API server on ports 443 and 6443, to the servers and proxies of both
// sides and to tracing.endpoint on their ports, and to the other pod of the bridge. Connections
// to the pods are not limited.
type NetworkPolicy struct {
	// serversTo are the peers that the servers and proxies with host names, and tracing.endpoint,
	// may be: addresses, or pods with labels. A server whose URL has an IP address is always
	// permitted at this address only. Default: every address, because a NetworkPolicy cannot
	// contain host names.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	ServersTo []networkingv1.NetworkPolicyPeer `json:"serversTo,omitempty"`

	// extraEgress are further rules, as in a NetworkPolicy. They are needed if a port behind a
	// Service differs from the port in the URL of the server, or if the API server listens on
	// another port than 443 and 6443.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	ExtraEgress []networkingv1.NetworkPolicyEgressRule `json:"extraEgress,omitempty"`
}
