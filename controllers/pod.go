// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// podSecurityContext returns the security context of the pod: the user's part or its default,
// and the settings that every runner has.
func podSecurityContext(users *v1alpha1.PodSecurityContext) (*corev1ac.PodSecurityContextApplyConfiguration, error) {
	if users == nil {
		users = &v1alpha1.PodSecurityContext{
			RunAsUser: ptr.To[int64](nonRoot), RunAsGroup: ptr.To[int64](nonRoot), FSGroup: ptr.To[int64](nonRoot),
		}
	}
	out, err := convert[corev1ac.PodSecurityContextApplyConfiguration](users)
	if err != nil {
		return nil, err
	}
	return out.
		WithRunAsNonRoot(true).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)), nil
}

// mountExtraVolumes mounts the ConfigMaps and Secrets that the user names, each in a directory
// of its own. Their names have a prefix, because the pod has other volumes.
func mountExtraVolumes(spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration, volumes []v1alpha1.ExtraVolume) {
	for i := range volumes {
		v := &volumes[i]
		volume := corev1ac.Volume().WithName("extra-" + v.Name)
		if v.Secret != nil {
			volume.WithSecret(corev1ac.SecretVolumeSource().WithSecretName(v.Secret.Name).WithDefaultMode(0o440))
		} else {
			volume.WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(v.ConfigMap.Name))
		}
		spec.WithVolumes(volume)
		container.WithVolumeMounts(corev1ac.VolumeMount().
			WithName("extra-" + v.Name).WithMountPath(extraDir + "/" + v.Name).WithReadOnly(true))
	}
}

// customize sets the fields of the pod and of its container that a user may set and that have
// no effect on the choice of the node.
func customize(spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration, runner *v1alpha1.Runner) error {
	if runner.RuntimeClassName != "" {
		spec.WithRuntimeClassName(runner.RuntimeClassName)
	}
	if runner.DNSPolicy != "" {
		spec.WithDNSPolicy(runner.DNSPolicy)
	}
	if runner.DNSConfig != nil {
		converted, err := convert[corev1ac.PodDNSConfigApplyConfiguration](runner.DNSConfig)
		if err != nil {
			return err
		}
		spec.WithDNSConfig(converted)
	}
	for i := range runner.HostAliases {
		converted, err := convert[corev1ac.HostAliasApplyConfiguration](&runner.HostAliases[i])
		if err != nil {
			return err
		}
		spec.WithHostAliases(converted)
	}
	for i := range runner.Env {
		converted, err := convert[corev1ac.EnvVarApplyConfiguration](withAPIVersion(&runner.Env[i]))
		if err != nil {
			return err
		}
		container.WithEnv(converted)
	}
	return nil
}

// withAPIVersion sets the default version of a reference to a field of the pod. If the API
// server set it, the fingerprints would always differ, because the reference is atomic.
func withAPIVersion(e *corev1.EnvVar) *corev1.EnvVar {
	if e.ValueFrom == nil || e.ValueFrom.FieldRef == nil || e.ValueFrom.FieldRef.APIVersion != "" {
		return e
	}
	out := e.DeepCopy()
	out.ValueFrom.FieldRef.APIVersion = "v1"
	return out
}
