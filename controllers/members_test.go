// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestFleet_DeploymentThatIsNoRunner_DoesNotCount(t *testing.T) {
	recovering := fleetDeployment(0, "v2", "new")
	recovering.Labels = map[string]string{labelHealthBefore: string(healthReady)}
	orphaned := recovering.DeepCopy()
	orphaned.OwnerReferences = nil
	adopted := recovering.DeepCopy()
	adopted.OwnerReferences = []metav1.OwnerReference{{Kind: "Other", Name: "plant-0", Controller: ptr.To(true)}}
	stray := recovering.DeepCopy()
	stray.Name = "another-name"
	for name, tt := range map[string]struct {
		changes             [][2]client.Object
		bridges, recovering int
	}{
		"orphaned":              {[][2]client.Object{{nil, recovering}, {recovering, orphaned}}, 0, 0},
		"orphaned and deleted":  {[][2]client.Object{{nil, recovering}, {recovering, orphaned}, {orphaned, nil}}, 0, 0},
		"of another controller": {[][2]client.Object{{nil, recovering}, {recovering, adopted}}, 0, 0},
		"given back":            {[][2]client.Object{{nil, recovering}, {recovering, orphaned}, {orphaned, recovering}}, 1, 1},
		"with another name":     {[][2]client.Object{{nil, fleetDeployment(0, "v1", "old")}, {nil, stray}}, 1, 0},
		"pruned":                {[][2]client.Object{{nil, fleetDeployment(0, "v1", "old")}, {nil, stray}, {stray, nil}}, 1, 0},
	} {
		f := &fleet{}
		for _, c := range tt.changes {
			f.observe(c[0], c[1])
		}
		if f.sum.bridges != tt.bridges || f.sum.recovering != tt.recovering {
			t.Errorf("%s: %d bridges, of which %d recover; want %d and %d", name, f.sum.bridges, f.sum.recovering, tt.bridges, tt.recovering)
		}
	}
}
