// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// validateReferences returns an error if a bridge names the same key of a Secret and of a
// ConfigMap with the same name: both would be the same file.
func validateReferences(b *v1alpha1.MQTTBridge) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]manifest.Reference{}
	for _, ref := range manifest.References(&b.Spec) {
		if other, ok := seen[ref.Path()]; ok {
			errs = append(errs, field.Invalid(field.NewPath("spec"), ref.Name,
				fmt.Sprintf(msgSameFile, other.Kind, other.Name, ref.Kind, ref.Name, ref.Key)))
		}
		seen[ref.Path()] = ref
	}
	return errs
}

// projections turns the references into the sources of a projected volume, one source per
// object. All are optional: the runner reports a missing object, and the pod starts
// nevertheless.
func projections(refs []manifest.Reference) []*corev1ac.VolumeProjectionApplyConfiguration {
	var out []*corev1ac.VolumeProjectionApplyConfiguration
	for len(refs) > 0 {
		first := refs[0]
		var items []*corev1ac.KeyToPathApplyConfiguration
		for len(refs) > 0 && refs[0].Kind == first.Kind && refs[0].Name == first.Name {
			items = append(items, corev1ac.KeyToPath().WithKey(refs[0].Key).WithPath(refs[0].Path()))
			refs = refs[1:]
		}
		source := corev1ac.VolumeProjection()
		if first.Kind == v1alpha1.CAKindSecret {
			source.WithSecret(corev1ac.SecretProjection().WithName(first.Name).WithItems(items...).WithOptional(true))
		} else {
			source.WithConfigMap(corev1ac.ConfigMapProjection().WithName(first.Name).WithItems(items...).WithOptional(true))
		}
		out = append(out, source)
	}
	return out
}
