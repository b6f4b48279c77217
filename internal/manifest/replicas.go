// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// EnvPodIP is the environment variable of the runner's container that holds the address of its pod,
// with two runners.
const EnvPodIP = "POD_IP"

// validateReplicas checks the number of runners, and the settings that two runners do not permit.
func validateReplicas(s *v1alpha1.MQTTBridgeSpec, path *field.Path) field.ErrorList {
	errs := inRange(path.Child("replicas"), s.Replicas, 1, 2)
	if s.Standby != nil {
		errs = append(errs, inRange(path.Child("standby", "leaseDurationSeconds"), s.Standby.LeaseDurationSeconds, 3, 60)...)
	}
	if !s.HasStandby() {
		if s.Standby != nil {
			errs = append(errs, field.Invalid(path.Child("standby"), "standby", "standby controls the second runner, but the bridge has only one; set replicas to 2, or remove standby"))
		}
		return errs
	}
	if s.Buffer != nil && s.Buffer.Disk != nil {
		errs = append(errs, field.Invalid(path.Child("replicas"), *s.Replicas, "two runners cannot share a buffer on disk, because a backlog on the volume of a lost node would be sent late and out of order; remove buffer.disk, so that the source server keeps the messages in the session of the bridge, or set replicas to 1"))
	}
	if s.Runner == nil {
		return errs
	}
	if slices.ContainsFunc(s.Runner.Env, func(e corev1.EnvVar) bool { return e.Name == EnvPodIP }) {
		errs = append(errs, field.Invalid(path.Child("runner", "env"), EnvPodIP, "with replicas: 2 the operator sets POD_IP; remove it"))
	}
	if s.Runner.MetricsPort != nil && *s.Runner.MetricsPort == v1alpha1.PeerPort {
		errs = append(errs, field.Invalid(path.Child("runner", "metricsPort"), *s.Runner.MetricsPort, "with replicas: 2, metricsPort must differ from 8091, the port for the other runner; choose another port such as 9090"))
	}
	return errs
}
