// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// A runner of an earlier operator applies most changes of the manifest only when it starts. The
// earlier operator therefore replaced the pod for each of them. Until a roll-out has replaced such
// a pod, this operator does the same: otherwise a change would wait for the roll-out.

// byEarlierOperator reports whether an earlier operator has made the pod template of a Deployment
// with these annotations.
func byEarlierOperator(annotations map[string]string) bool {
	return annotations[annotationPodSpecHash] == "" && annotations[annotationEarlierSpecHash] != ""
}

// causeFor returns the cause of the difference between the annotations of the Deployment of a
// bridge and the wanted annotations, also if an earlier operator has made the Deployment.
func causeFor(b *v1alpha1.MQTTBridge, live, wanted map[string]string) (cause, error) {
	change := causeOf(live, wanted)
	if change != causeOperator || !byEarlierOperator(live) {
		return change, nil
	}
	spec, err := earlierSpecHash(b)
	if spec != live[annotationEarlierSpecHash] {
		change = causeUser
	}
	return change, err
}

// earlierSpecHash returns the hash of the part of the spec for which the earlier operator replaced
// the pod, as it made the hash.
func earlierSpecHash(b *v1alpha1.MQTTBridge) (string, error) {
	spec := runnerSpec(b)
	spec.Local.PreferredServer, spec.Remote.PreferredServer = nil, nil
	spec.DeletionPolicy, spec.DeletionTimeoutSeconds = nil, nil
	manifest, err := hashOf(spec)
	if err != nil {
		return "", err
	}
	runner := ptr.Deref(b.Spec.Runner, v1alpha1.Runner{})
	runner.UpdatePolicy, runner.UpdateWindows, runner.UpdateTimeZone = "", nil, ""
	parts := struct {
		Manifest string          `json:"manifest"`
		Runner   v1alpha1.Runner `json:"runner"`
		Suspend  bool            `json:"suspend"`
		Claim    string          `json:"claim,omitempty"`
	}{Manifest: manifest, Runner: runner, Suspend: isSuspended(b)}
	if d := disk(b); d != nil {
		parts.Claim = d.ExistingClaim
	}
	return hashOf(&parts)
}
