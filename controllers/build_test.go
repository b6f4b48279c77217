// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

var updateGolden = flag.Bool("update", false, "write the golden files instead of comparing with them")

// everything returns the bridge of test/manifests/valid/everything.yaml.
func everything(t *testing.T) *v1alpha1.MQTTBridge {
	t.Helper()
	return fromFile(t, "test", "manifests", "valid", "everything.yaml")
}

func built(t *testing.T, b *v1alpha1.MQTTBridge) []child {
	t.Helper()
	children, err := build(b, testDefaults)
	if err != nil {
		t.Fatal(err)
	}
	return children
}

func builtDeployment(t *testing.T, b *v1alpha1.MQTTBridge) *appsv1ac.DeploymentApplyConfiguration {
	t.Helper()
	for _, c := range built(t, b) {
		if d, ok := c.(*appsv1ac.DeploymentApplyConfiguration); ok {
			return d
		}
	}
	t.Fatal("no Deployment")
	return nil
}

func TestBuild_MinimalAndFullBridge_MatchGoldenFiles(t *testing.T) {
	minimal := newBridge("default", "plant")
	minimal.UID, minimal.Generation = "a-uid", 3
	two := minimal.DeepCopy()
	two.Spec.Replicas = ptr.To[int32](2)
	for name, b := range map[string]*v1alpha1.MQTTBridge{"minimal": minimal, "everything": everything(t), "two-runners": two} {
		t.Run(name, func(t *testing.T) {
			var documents []string
			for _, c := range built(t, b) {
				out, err := yaml.Marshal(c)
				if err != nil {
					t.Fatal(err)
				}
				documents = append(documents, string(out))
			}
			golden(t, strings.Join(documents, "---\n"), "check that the change is wanted", name+".yaml")
		})
	}
}

func TestDeployment_PodLabelsOfTheUser_DoNotReplaceOperatorLabels(t *testing.T) {
	b := newBridge("default", "plant")
	b.Spec.Runner = &v1alpha1.Runner{PodLabels: map[string]string{labelInstance: "other", "team": "plant"}}
	d := builtDeployment(t, b)
	want := childLabels("plant")
	want["team"] = "plant"
	if got := d.Spec.Template.Labels; !maps.Equal(got, want) {
		t.Errorf("labels %v; want %v", got, want)
	}
}

func TestTolerations_LostNode_Are30SecondsUnlessTheUserSetsThem(t *testing.T) {
	own := corev1.Toleration{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, TolerationSeconds: ptr.To[int64](600)}
	for _, tt := range []struct {
		users []corev1.Toleration
		want  []int64
	}{{nil, []int64{30, 30}}, {[]corev1.Toleration{own}, []int64{30, 600}}} {
		var got []int64
		for _, toleration := range tolerations(tt.users) {
			got = append(got, *toleration.TolerationSeconds)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("tolerations of %v seconds; want %v", got, tt.want)
		}
	}
}

func TestDeployment_Suspended_HasNoReplica(t *testing.T) {
	b := newBridge("default", "plant")
	b.Spec.Suspend = ptr.To(true)
	if got := *builtDeployment(t, b).Spec.Replicas; got != 0 {
		t.Errorf("%d replicas; want 0", got)
	}
}
