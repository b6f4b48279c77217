// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The keys in referenced Secrets and ConfigMaps.
const (
	KeyUsername = "username"
	KeyPassword = "password"
	KeyCA       = "ca.crt"
	KeyCert     = "tls.crt"
	KeyKey      = "tls.key"
)

// Reference is a key of a Secret or ConfigMap that a manifest names.
type Reference struct {
	Kind v1alpha1.CAKind
	Name string
	Key  string
}

// Path returns the name of the file from which the runner reads the key, in the directory
// of Secrets.
func (r Reference) Path() string { return r.Name + "/" + r.Key }

// References returns every key that the spec names, without duplicates, sorted by kind,
// name and key.
func References(s *v1alpha1.MQTTBridgeSpec) []Reference {
	var refs []Reference
	for _, side := range []*v1alpha1.Side{&s.Local, &s.Remote} {
		refs = append(refs, credentialReferences(side.Credentials)...)
		refs = append(refs, tlsReferences(side.TLS)...)
		refs = append(refs, proxyReferences(side.Proxy)...)
		refs = append(refs, webSocketReferences(side.WebSocket)...)
		for _, server := range side.Servers() {
			refs = append(refs, credentialReferences(server.Credentials)...)
			refs = append(refs, tlsReferences(server.TLS)...)
			refs = append(refs, proxyReferences(server.Proxy)...)
			refs = append(refs, webSocketReferences(server.WebSocket)...)
		}
	}
	slices.SortFunc(refs, func(a, b Reference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	return slices.Compact(refs)
}

func credentialReferences(c *v1alpha1.Credentials) []Reference {
	if c == nil {
		return nil
	}
	return []Reference{
		{v1alpha1.CAKindSecret, c.SecretRef.Name, KeyUsername},
		{v1alpha1.CAKindSecret, c.SecretRef.Name, KeyPassword},
	}
}

func proxyReferences(p *v1alpha1.Proxy) []Reference {
	if p == nil {
		return nil
	}
	return credentialReferences(p.Credentials)
}

func webSocketReferences(w *v1alpha1.WebSocket) []Reference {
	if w == nil {
		return nil
	}
	var refs []Reference
	add := func(v *v1alpha1.ValueSource) {
		if v != nil {
			refs = append(refs, Reference{v1alpha1.CAKindSecret, v.SecretKeyRef.Name, v.SecretKeyRef.Key})
		}
	}
	for i := range w.Headers {
		add(w.Headers[i].ValueFrom)
	}
	add(w.QueryFrom)
	return refs
}

func tlsReferences(t *v1alpha1.TLS) []Reference {
	if t == nil {
		return nil
	}
	var refs []Reference
	if t.CARef != nil {
		refs = append(refs, Reference{t.CARef.Kind, t.CARef.Name, KeyCA})
	}
	if t.CertSecretRef != nil {
		refs = append(refs,
			Reference{v1alpha1.CAKindSecret, t.CertSecretRef.Name, KeyCert},
			Reference{v1alpha1.CAKindSecret, t.CertSecretRef.Name, KeyKey})
	}
	return refs
}
