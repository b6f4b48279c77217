// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of MQTT bridges: the MQTTBridge kind of group
// mqttbridge.io, its validation and its defaults.
//
// It promises that a field that can be set works end to end, and that every
// list, map and string is bounded. The API server refuses bad manifests by the
// CEL rules of the CRD; a runner started by hand, where no API server is, refuses
// the same ones (package bridge-runner/config). Defaults are resolved by one pure
// function, [MQTTBridge.WithDefaults], never in the schema, so that what a user
// applied is what `kubectl get -o yaml` returns.
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

var schemeBuilder = runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &MQTTBridge{}, &MQTTBridgeList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
})

// AddToScheme adds the types of this API to a scheme.
var AddToScheme = schemeBuilder.AddToScheme
