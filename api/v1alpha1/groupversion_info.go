// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of MQTT bridges: the MQTTBridge kind of group
// mqttbridge.io, its validation and its defaults.
//
// It promises that every field works end to end, and that every list, map and string is
// bounded. The API server rejects invalid manifests by the CEL rules of the CRD. A runner
// that is started by hand, without an API server, rejects the same manifests (package
// internal/manifest). Defaults come from one pure function, [MQTTBridge.WithDefaults],
// never from the schema, so that `kubectl get -o yaml` returns the manifest as the user
// applied it.
//
// +kubebuilder:object:generate=true
// +groupName=mqttbridge.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of this API.
var GroupVersion = schema.GroupVersion{Group: "mqttbridge.io", Version: "v1alpha1"}

// RunnerFieldManager is the field manager of the status fields that the runner writes. The
// operator writes them under the same name when it corrects them for a runner that is gone.
const RunnerFieldManager = "bridge-runner"

var schemeBuilder = runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &MQTTBridge{}, &MQTTBridgeList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
})

// AddToScheme adds the types of this API to a scheme.
var AddToScheme = schemeBuilder.AddToScheme
