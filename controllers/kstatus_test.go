// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// docs/operations.md holds the same table, and says what Flux and Argo CD make of each state.
func TestKstatus_EveryState_GivesVerdict(t *testing.T) {
	refusedPods := func(o *observation) {
		o.deployment.Status.Conditions = []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentReplicaFailure, Status: "True", Message: "violates PodSecurity",
		}}
	}
	failure := func(o *observation) { o.failure = errors.New("failed calling webhook") }
	for _, tt := range []struct {
		state string
		given *observation
		want  status.Status
	}{
		{"created, and not seen by the operator", nil, status.InProgressStatus},
		{"children are created", observed(unreported, noPods, func(o *observation) { o.wrote = true }), status.InProgressStatus},
		{"the runner starts", observed(unreported), status.InProgressStatus},
		{"forwarding", observed(), status.CurrentStatus},
		{"forwarding, and waiting for an update window", observed(func(o *observation) { o.windowOpens = epoch }), status.CurrentStatus},
		{"degraded", observed(withSides(localUp(), remoteOnBackup())), status.CurrentStatus},
		{"a standby server has failed", observed(withSides(localUp(), remoteStandbyFailed(epoch))), status.CurrentStatus},
		{"every server of one side is down", observed(withSides(localUp(), remoteDown())), status.InProgressStatus},
		{"a new generation is rolled out, and the earlier one forwards", observed(generation4), status.InProgressStatus},
		{"a child cannot be applied", observed(generation4, failure), status.InProgressStatus},
		{"the spec is invalid, and the earlier generation forwards", observed(generation4, invalid), status.FailedStatus},
		{"a child is refused", observed(generation4, func(o *observation) {
			o.stall = &stallError{v1alpha1.ReasonApplyFailed, errors.New("exceeded quota")}
		}), status.FailedStatus},
		{"the pod is refused", observed(noPods, refusedPods), status.FailedStatus},
		{"the pod fails", observed(unreported, withWaitingContainer("ImagePullBackOff", "no such image", nil)), status.FailedStatus},
		{"the pod crashes and runs again", observed(withRestarts(3, epoch)), status.FailedStatus},
		{"the node is lost", observed(onLostNode), status.InProgressStatus},
		{"suspended, and the runner drains", observed(suspended), status.InProgressStatus},
		{"suspended", observed(suspended, noPods), status.CurrentStatus},
		{"suspended, and the spec is invalid", observed(suspended, noPods, invalid), status.FailedStatus},
		{"being deleted", observed(func(o *observation) { o.bridge.DeletionTimestamp = ptr.To(metav1.NewTime(epoch)) }), status.TerminatingStatus},
	} {
		t.Run(tt.state, func(t *testing.T) {
			bridge := newBridge("default", "plant")
			bridge.Generation, bridge.Status.ObservedGeneration = 1, -1 // the default
			if tt.given != nil {
				bridge = tt.given.bridge
				bridge.Status.Conditions, bridge.Status.ObservedGeneration = derive(tt.given, epoch), bridge.Generation
			}
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(bridge)
			if err != nil {
				t.Fatal(err)
			}
			u := &unstructured.Unstructured{Object: object}
			u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(bridgeKind))
			result, err := status.Compute(u)
			if err != nil {
				t.Fatal(err)
			}
			if result.Status != tt.want {
				t.Errorf("kstatus says %s (%s); want %s", result.Status, result.Message, tt.want)
			}
		})
	}
}
