// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// specChange is a change of the spec of a bridge with a buffer on disk and references.
type specChange func(*v1alpha1.MQTTBridge)

// podHashes returns the hash of the pod template, and the hash of the part of the spec that the
// pod depends on, after a change.
func podHashes(t *testing.T, change specChange) (template, spec string) {
	t.Helper()
	b := newBridge("default", "plant")
	withDisk(b, "1Gi", "fast")
	withReferences(b)
	b.Spec.Runner = &v1alpha1.Runner{LogLevel: v1alpha1.LogLevelInfo}
	change(b)
	annotations := builtDeployment(t, b).Annotations
	return annotations[annotationTemplateHash], annotations[annotationPodSpecHash]
}

func unchanged(*v1alpha1.MQTTBridge) {}

// The list in docs/operations.md, "Changes that need a new pod".
func TestPodTemplate_ChangeOfThePod_ChangesBothHashes(t *testing.T) {
	template, spec := podHashes(t, unchanged)
	for name, change := range map[string]specChange{
		"the image":            func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.Image = "other" },
		"the pull policy":      func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.ImagePullPolicy = corev1.PullAlways },
		"the resources":        func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.Resources = &corev1.ResourceRequirements{} },
		"a variable":           func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.Env = []corev1.EnvVar{{Name: "A", Value: "b"}} },
		"the node":             func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.NodeSelector = map[string]string{"a": "b"} },
		"a label of the pod":   func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.PodLabels = map[string]string{"a": "b"} },
		"an annotation of it":  func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.PodAnnotations = map[string]string{"a": "b"} },
		"the security context": func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.PodSecurityContext = &v1alpha1.PodSecurityContext{} },
		"the account":          func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.ServiceAccountName = "mine" },
		"the port of metrics":  func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.MetricsPort = ptr.To[int32](9090) },
		"another Secret":       func(b *v1alpha1.MQTTBridge) { b.Spec.Local.Credentials = mqtttest.Login("other") },
		"another key":          func(b *v1alpha1.MQTTBridge) { b.Spec.Local.Credentials.Password.SecretKeyRef.Key = "other" },
		"another ConfigMap":    func(b *v1alpha1.MQTTBridge) { b.Spec.Local.Primary.TLS = mqtttest.TrustConfigMap("other") },
		"the last reference":   func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.Backups = b.Spec.Remote.Backups[1:] },
		"no buffer on disk":    func(b *v1alpha1.MQTTBridge) { b.Spec.Buffer = nil },
		"a claim of the user":  func(b *v1alpha1.MQTTBridge) { b.Spec.Buffer.Disk.ExistingClaim = "mine" },
		"a claim of the user with the name of the bridge's own": func(b *v1alpha1.MQTTBridge) {
			b.Spec.Buffer.Disk.ExistingClaim = "plant-bridge"
		},
		"an extra volume": func(b *v1alpha1.MQTTBridge) {
			b.Spec.Runner.ExtraVolumes = []v1alpha1.ExtraVolume{{Name: "a", Secret: &v1alpha1.LocalReference{Name: "b"}}}
		},
	} {
		gotTemplate, gotSpec := podHashes(t, change)
		if gotTemplate == template || gotSpec == spec {
			t.Errorf("%s changes the template: %t, and the hash of the spec: %t; want both", name, gotTemplate != template, gotSpec != spec)
		}
	}
}

func TestPodTemplate_ChangeThatTheProcessApplies_ChangesNeitherHash(t *testing.T) {
	template, spec := podHashes(t, unchanged)
	for name, change := range map[string]specChange{
		"a topic":           func(b *v1alpha1.MQTTBridge) { b.Spec.LocalToRemote[0].Topic = "x/${topic}" },
		"a rule":            func(b *v1alpha1.MQTTBridge) { b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "commands/#"}} },
		"an explicit value": func(b *v1alpha1.MQTTBridge) { b.Spec.LocalToRemote[0].QoS = ptr.To[int32](1) },
		"a server": func(b *v1alpha1.MQTTBridge) {
			b.Spec.Remote.Backups = append(b.Spec.Remote.Backups, v1alpha1.Server{URL: "mqtt://f"})
		},
		"an address":         func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.Primary.URL = "mqtts://g:8883" },
		"the client":         func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.ClientID = "mine" },
		"the protocol":       func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.ProtocolVersion = ptr.To[v1alpha1.ProtocolVersion]("5") },
		"the log level":      func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.LogLevel = v1alpha1.LogLevelDebug },
		"a preferred server": func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.PreferredServer = &v1alpha1.PreferredServer{Name: "b"} },
		"the deletion":       func(b *v1alpha1.MQTTBridge) { withDeletion(b, v1alpha1.DeletionDrain) },
		"the NetworkPolicy":  func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.NetworkPolicy = &v1alpha1.NetworkPolicy{} },
		"the class":          func(b *v1alpha1.MQTTBridge) { b.Spec.ClassName = "other" },
		"the memory": func(b *v1alpha1.MQTTBridge) {
			b.Spec.Buffer.Memory = &v1alpha1.MemoryBuffer{Size: ptr.To(resource.MustParse("1Mi"))}
		},
		"the size on disk": func(b *v1alpha1.MQTTBridge) { b.Spec.Buffer.Disk.Size = ptr.To(resource.MustParse("2Gi")) },
		"retainPolicy":     func(b *v1alpha1.MQTTBridge) { withRetainPolicy(b, v1alpha1.ClaimDelete) },
		"storageClassName": func(b *v1alpha1.MQTTBridge) { b.Spec.Buffer.Disk.StorageClassName = "other" },
		"accessModes": func(b *v1alpha1.MQTTBridge) {
			b.Spec.Buffer.Disk.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
		},
		"the update policy":  func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.UpdatePolicy = v1alpha1.UpdateOnSpecChange },
		"the update windows": func(b *v1alpha1.MQTTBridge) { withUpdateWindows(b, "Europe/Berlin", "0 2 * * 6", 240) },
		"a reference that is mounted already": func(b *v1alpha1.MQTTBridge) {
			b.Spec.Remote.Primary.Credentials = mqtttest.Login("shared")
		},
		"no field of the spec": func(b *v1alpha1.MQTTBridge) {
			b.Generation, b.Status.ObservedGeneration, b.Annotations = 2, 1, map[string]string{"a": "b"}
			b.DeletionTimestamp = ptr.To(metav1.NewTime(epoch))
		},
	} {
		if gotTemplate, gotSpec := podHashes(t, change); gotTemplate != template || gotSpec != spec {
			t.Errorf("%s changes the template: %t, and the hash of the spec: %t; want neither", name, gotTemplate != template, gotSpec != spec)
		}
	}
}

// The end of a suspension applies a template that only the operator has changed at once.
func TestPodSpecHash_Suspended_Differs(t *testing.T) {
	template, spec := podHashes(t, unchanged)
	gotTemplate, gotSpec := podHashes(t, func(b *v1alpha1.MQTTBridge) { b.Spec.Suspend = ptr.To(true) })
	if gotTemplate != template || gotSpec == spec {
		t.Errorf("a suspension changes the template: %t, and the hash of the spec: %t; want only the latter", gotTemplate != template, gotSpec != spec)
	}
}
