// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// projections turns the references into the sources of a projected volume, one source per
// object. All are optional: the runner reports a missing object or key, and the pod starts
// nevertheless.
func projections(refs []manifest.Reference) ([]*corev1ac.VolumeProjectionApplyConfiguration, error) {
	var out []*corev1ac.VolumeProjectionApplyConfiguration
	for len(refs) > 0 {
		first := refs[0]
		if first.Kind == manifest.KindClusterTrustBundle {
			source, err := bundleProjection(first)
			if err != nil {
				return nil, err
			}
			out, refs = append(out, source), refs[1:]
			continue
		}
		var items []*corev1ac.KeyToPathApplyConfiguration
		for len(refs) > 0 && refs[0].Kind == first.Kind && refs[0].Name == first.Name {
			items = append(items, corev1ac.KeyToPath().WithKey(refs[0].Key).WithPath(refs[0].Path()))
			refs = refs[1:]
		}
		source := corev1ac.VolumeProjection()
		if first.Kind == manifest.KindSecret {
			source.WithSecret(corev1ac.SecretProjection().WithName(first.Name).WithItems(items...).WithOptional(true))
		} else {
			source.WithConfigMap(corev1ac.ConfigMapProjection().WithName(first.Name).WithItems(items...).WithOptional(true))
		}
		out = append(out, source)
	}
	return out, nil
}

// bundleProjection returns the source for ClusterTrustBundles. Kubernetes selects no bundle of
// a signer if the label selector is missing, and all bundles if it is empty.
func bundleProjection(ref manifest.Reference) (*corev1ac.VolumeProjectionApplyConfiguration, error) {
	bundle := corev1ac.ClusterTrustBundleProjection().WithPath(ref.Path()).WithOptional(true)
	if ref.Bundle.SignerName == "" {
		return corev1ac.VolumeProjection().WithClusterTrustBundle(bundle.WithName(ref.Bundle.Name)), nil
	}
	bundle.WithSignerName(ref.Bundle.SignerName).WithLabelSelector(metav1ac.LabelSelector())
	if ref.Bundle.LabelSelector != nil {
		selector, err := convert[metav1ac.LabelSelectorApplyConfiguration](ref.Bundle.LabelSelector)
		if err != nil {
			return nil, err
		}
		bundle.WithLabelSelector(selector)
	}
	return corev1ac.VolumeProjection().WithClusterTrustBundle(bundle), nil
}
