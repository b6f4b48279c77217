// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// statesDir holds a bridge in each state, and is complete: test/verdicts reads it and compares
// the verdicts of Flux and Argo CD with the table of docs/operations.md.
const statesDir = "config/argocd/mqttbridge.io/MQTTBridge/testdata"

// A bridgeState is a row of the table of verdicts in docs/operations.md, with the same name.
type bridgeState struct {
	name  string
	given *observation // nil before the operator has seen the bridge
	// changed is set if the spec has changed since the operator saw it.
	changed bool
}

func bridgeStates() []bridgeState {
	failure := func(o *observation) { o.failure = errors.New("failed calling webhook") }
	stall := func(reason, message string) func(*observation) {
		return func(o *observation) { o.stall = &stallError{reason, errors.New(message)} }
	}
	deleted := func(o *observation) { o.bridge.DeletionTimestamp = ptr.To(metav1.NewTime(epoch)) }
	return []bridgeState{
		{name: "created, and not seen by the operator"},
		{name: "the child objects are created", given: observed(unreported, noPods, func(o *observation) { o.wrote = true })},
		{name: "the runner starts", given: observed(unreported)},
		{name: "forwarding", given: observed()},
		{name: "forwarding, and waiting for an update window", given: observed(func(o *observation) { o.windowOpens = epoch.Add(time.Hour) })},
		{name: "forwarding on a backup", given: observed(withSides(localUp(), remoteOnBackup()))},
		{name: "a standby server has failed", given: observed(withSides(localUp(), remoteStandbyFailed(epoch)))},
		{name: "every server of one side is down", given: observed(withSides(localUp(), remoteDown()))},
		{name: "the spec has changed, and the operator has not seen it", given: observed(), changed: true},
		{name: "a new generation is being applied, and the earlier one forwards", given: observed(generation4)},
		{name: "the runner refuses the new generation, and the earlier one forwards", given: observed(refusedManifest)},
		{name: "a child object cannot be applied, and is tried again", given: observed(generation4, failure)},
		{name: "the spec is invalid, and the earlier generation forwards", given: observed(generation4, invalid)},
		{name: "the spec is not allowed", given: observed(generation4, stall(v1alpha1.ReasonNotAllowed, "spec.runner.image: the policy does not allow it"))},
		{name: "a child object is refused", given: observed(generation4, stall(v1alpha1.ReasonApplyFailed, "exceeded quota"))},
		{name: "the pod is refused", given: observed(noPods, withRefusedPods)},
		{name: "the volume is lost", given: observed(withUnboundClaim("fast", corev1.ClaimLost))},
		{name: "the image cannot be pulled", given: observed(unreported, withWaitingContainer("ImagePullBackOff", "no such image", nil))},
		{name: "the pod crashes, and runs again", given: observed(withRestarts(3, epoch))},
		{name: "the node is lost", given: observed(onLostNode)},
		{name: "suspended, and the runner drains", given: observed(suspended)},
		{name: "suspended", given: observed(suspended, noPods)},
		{name: "suspended, and the spec is invalid", given: observed(suspended, noPods, invalid)},
		{name: "being deleted", given: observed(deleted)},
	}
}

func withRefusedPods(o *observation) {
	o.deployment.Status.Conditions = []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentReplicaFailure, Status: "True", Message: "violates PodSecurity",
	}}
}

// bridge returns the bridge in this state, as the API server has it.
func (s *bridgeState) bridge() *v1alpha1.MQTTBridge {
	b := newBridge("default", "plant")
	b.Generation, b.Status.ObservedGeneration = 1, -1 // the default
	if s.given != nil {
		b = s.given.bridge
		b.Status.Conditions, b.Status.ObservedGeneration = derive(s.given, epoch.Add(time.Minute)), b.Generation
	}
	if s.changed {
		b.Generation++
	}
	b.APIVersion, b.Kind = v1alpha1.GroupVersion.String(), bridgeKind
	return b
}

func (s *bridgeState) file() string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(s.name), "-"), "-") + ".yaml"
}

func TestStates_Bridges_MatchGoldenFiles(t *testing.T) {
	var files []string
	for _, state := range bridgeStates() {
		files = append(files, state.file())
		t.Run(state.name, func(t *testing.T) {
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(state.bridge())
			if err != nil {
				t.Fatal(err)
			}
			out, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, string(out), "run the tests of test/verdicts with the new state", "..", "..", statesDir, state.file())
		})
	}
	slices.Sort(files)
	paths, err := filepath.Glob(filepath.Join(apiserver.Root(), statesDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	if !slices.Equal(paths, files) {
		t.Errorf("%s holds %q, want a file for each state: %q", statesDir, paths, files)
	}
}
