// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// Argo CD, Flux and Helm 4 apply on the server. The API server refuses rollingUpdate beside the type
// Recreate, and removes only the fields that the previous manifest contained.
func TestChart_ServerSideApply_ChangesToRecreateAndBack(t *testing.T) {
	apiserver.Need(t, server)
	const namespace = "server-side"
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	for _, recreate := range [][]string{
		{"--set=leaderElection.enabled=false", "--set=replicas=1"},
		{"--set=strategy.type=Recreate"},
	} {
		for _, c := range []struct {
			args []string
			want appsv1.DeploymentStrategyType
		}{
			{nil, appsv1.RollingUpdateDeploymentStrategyType},
			{recreate, appsv1.RecreateDeploymentStrategyType},
			{nil, appsv1.RollingUpdateDeploymentStrategyType},
		} {
			args := append([]string{"--namespace=" + namespace, "--show-only=templates/deployment.yaml"}, c.args...)
			objects := helmed(t, args...)
			deployment := &unstructured.Unstructured{Object: objects[0].Object}
			err := server.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(deployment), client.FieldOwner("argocd"))
			if err != nil {
				t.Errorf("%v: %v", c.args, err)
				continue
			}
			got := &appsv1.Deployment{}
			if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(deployment), got); err != nil {
				t.Fatal(err)
			}
			if got.Spec.Strategy.Type != c.want {
				t.Errorf("%v: the type of the strategy is %s; want %s", c.args, got.Spec.Strategy.Type, c.want)
			}
		}
	}
}
