// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// otherPlace is an anti-affinity of a pod to all runner pods in the same place of a topology.
func otherPlace(topology string) *corev1.PodAntiAffinity {
	return &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{labelName: runnerName}}, TopologyKey: topology,
	}}}
}

// A cluster may have as many nodes as runners, so that a third pod that must be on a node of its own is
// never scheduled.
func TestStrategy_TwoRunnersOnNodesOfTheirOwn_NeedNoThirdNode(t *testing.T) {
	preferred := &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
		Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname},
	}}}
	for name, tt := range map[string]struct {
		affinity           *corev1.Affinity
		surge, unavailable int
	}{
		"no affinity":                    {nil, 1, 0},
		"an affinity to nodes":           {&corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}, 1, 0},
		"another node is preferred":      {&corev1.Affinity{PodAntiAffinity: preferred}, 1, 0},
		"another node is required":       {&corev1.Affinity{PodAntiAffinity: otherPlace(corev1.LabelHostname)}, 0, 1},
		"another zone is required":       {&corev1.Affinity{PodAntiAffinity: otherPlace(corev1.LabelTopologyZone)}, 0, 1},
		"an anti-affinity without terms": {&corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := twoRunners("default")
			b.Spec.Runner = &v1alpha1.Runner{Affinity: tt.affinity}
			d := builtDeployment(t, b).Spec
			if n := ptr.Deref(d.MinReadySeconds, 0); n != minReadySeconds {
				t.Errorf("a new pod must be ready for %d s, want %d", n, minReadySeconds)
			}
			r := d.Strategy.RollingUpdate
			if r == nil || r.MaxSurge.IntValue() != tt.surge || r.MaxUnavailable.IntValue() != tt.unavailable {
				t.Errorf("the strategy is %+v; want a surge of %d, and %d unavailable", r, tt.surge, tt.unavailable)
			}
			setReplicas(1)(b)
			d = builtDeployment(t, b).Spec
			if s := d.Strategy; *s.Type != appsv1.RecreateDeploymentStrategyType || d.MinReadySeconds != nil {
				t.Errorf("with one runner, the strategy is %s, and minReadySeconds is %v", *s.Type, d.MinReadySeconds)
			}
		})
	}
}
