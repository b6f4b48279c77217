// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// reference is a key of a Secret or ConfigMap that a bridge names. The runner reads it as
// the file name/key.
type reference struct {
	kind v1alpha1.CAKind
	name string
	key  string
}

func (r reference) path() string { return r.name + "/" + r.key }

// references returns every key that the bridge names, without duplicates, sorted by kind,
// name and key.
func references(b *v1alpha1.MQTTBridge) []reference {
	var refs []reference
	for _, side := range []*v1alpha1.Side{&b.Spec.Local, &b.Spec.Remote} {
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
	slices.SortFunc(refs, func(a, b reference) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name), cmp.Compare(a.key, b.key))
	})
	return slices.Compact(refs)
}

func credentialReferences(c *v1alpha1.Credentials) []reference {
	if c == nil {
		return nil
	}
	return []reference{
		{v1alpha1.CAKindSecret, c.SecretRef.Name, "username"},
		{v1alpha1.CAKindSecret, c.SecretRef.Name, "password"},
	}
}

func proxyReferences(p *v1alpha1.Proxy) []reference {
	if p == nil {
		return nil
	}
	return credentialReferences(p.Credentials)
}

func webSocketReferences(w *v1alpha1.WebSocket) []reference {
	if w == nil {
		return nil
	}
	var refs []reference
	add := func(v *v1alpha1.ValueSource) {
		if v != nil {
			refs = append(refs, reference{v1alpha1.CAKindSecret, v.SecretKeyRef.Name, v.SecretKeyRef.Key})
		}
	}
	for i := range w.Headers {
		add(w.Headers[i].ValueFrom)
	}
	add(w.QueryFrom)
	return refs
}

func tlsReferences(t *v1alpha1.TLS) []reference {
	if t == nil {
		return nil
	}
	var refs []reference
	if t.CARef != nil {
		refs = append(refs, reference{t.CARef.Kind, t.CARef.Name, "ca.crt"})
	}
	if t.CertSecretRef != nil {
		refs = append(refs,
			reference{v1alpha1.CAKindSecret, t.CertSecretRef.Name, "tls.crt"},
			reference{v1alpha1.CAKindSecret, t.CertSecretRef.Name, "tls.key"})
	}
	return refs
}

// validateReferences returns an error if a bridge names the same key of a Secret and of a
// ConfigMap with the same name: both would be the same file.
func validateReferences(b *v1alpha1.MQTTBridge) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]reference{}
	for _, ref := range references(b) {
		if other, ok := seen[ref.path()]; ok {
			errs = append(errs, field.Invalid(field.NewPath("spec"), ref.name,
				fmt.Sprintf(msgSameFile, other.kind, other.name, ref.kind, ref.name, ref.key)))
		}
		seen[ref.path()] = ref
	}
	return errs
}

// projections turns the references into the sources of a projected volume, one source per
// object. All are optional: the runner reports a missing object, and the pod starts
// nevertheless.
func projections(refs []reference) []*corev1ac.VolumeProjectionApplyConfiguration {
	var out []*corev1ac.VolumeProjectionApplyConfiguration
	for len(refs) > 0 {
		first := refs[0]
		var items []*corev1ac.KeyToPathApplyConfiguration
		for len(refs) > 0 && refs[0].kind == first.kind && refs[0].name == first.name {
			items = append(items, corev1ac.KeyToPath().WithKey(refs[0].key).WithPath(refs[0].path()))
			refs = refs[1:]
		}
		source := corev1ac.VolumeProjection()
		if first.kind == v1alpha1.CAKindSecret {
			source.WithSecret(corev1ac.SecretProjection().WithName(first.name).WithItems(items...).WithOptional(true))
		} else {
			source.WithConfigMap(corev1ac.ConfigMapProjection().WithName(first.name).WithItems(items...).WithOptional(true))
		}
		out = append(out, source)
	}
	return out
}
