// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fleetDeployment returns the available Deployment of a bridge.
func fleetDeployment(i int, revision, template string) *appsv1.Deployment {
	bridge := fmt.Sprintf("plant-%d", i)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "plants", Name: childName(bridge),
			OwnerReferences: []metav1.OwnerReference{{Kind: bridgeKind, Name: bridge, Controller: ptr.To(true)}},
			Annotations:     map[string]string{annotationRevision: revision, annotationTemplateHash: template},
		},
		Status: appsv1.DeploymentStatus{UpdatedReplicas: 1, AvailableReplicas: 1},
	}
}

func fleetKey(i int) client.ObjectKey {
	return client.ObjectKey{Namespace: "plants", Name: fmt.Sprintf("plant-%d", i)}
}

func TestFleet_GrantedChange_CountsUntilTheWatchShowsIt(t *testing.T) {
	one := intstr.FromInt32(1)
	for name, tt := range map[string]struct {
		// after happens to the Deployment of bridge 0 after the grant.
		after func(*fleet, *appsv1.Deployment)
		// free is true if another bridge may change then.
		free bool
	}{
		"the watch shows nothing": {func(*fleet, *appsv1.Deployment) {}, false},
		"another field changes": {func(f *fleet, d *appsv1.Deployment) {
			f.observe(d, fleetDeployment(0, "v1", "old"))
		}, false},
		"the bridge recovers": {func(f *fleet, d *appsv1.Deployment) {
			changed := fleetDeployment(0, "v2", "new")
			changed.Labels = map[string]string{labelHealthBefore: string(healthReady)}
			f.observe(d, changed)
		}, false},
		"the bridge has recovered":  {func(f *fleet, d *appsv1.Deployment) { f.observe(d, fleetDeployment(0, "v2", "new")) }, true},
		"the user changes the spec": {func(f *fleet, d *appsv1.Deployment) { f.observe(d, fleetDeployment(0, "v2", "other")) }, true},
		"the change fails":          {func(f *fleet, _ *appsv1.Deployment) { f.release(fleetKey(0)) }, true},
		"the Deployment is deleted": {func(f *fleet, d *appsv1.Deployment) { f.observe(d, nil) }, true},
		"the bridge is suspended": {func(f *fleet, d *appsv1.Deployment) {
			changed := d.DeepCopy()
			changed.Spec.Replicas = ptr.To[int32](0)
			f.observe(d, changed)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fleet{}
			t.Cleanup(func() { // the gauges belong to the process
				f.setState(fleetKey(0), "")
				f.setState(fleetKey(1), "")
			})
			for i := range 2 {
				f.observe(nil, fleetDeployment(i, "v1", "old"))
			}
			if !f.admit(fleetKey(0), "new", "v2", false, one) || f.admit(fleetKey(1), "new", "v2", false, one) {
				t.Fatal("a roll-out must start with one bridge")
			}
			tt.after(f, fleetDeployment(0, "v1", "old"))
			if got := f.admit(fleetKey(1), "new", "v2", false, one); got != tt.free {
				t.Errorf("another bridge may change: %t; want %t", got, tt.free)
			}
		})
	}
}

// The sum must not drift from the members, whatever happens in whatever order.
func TestFleet_AnyChanges_SumIsOfTheMembers(t *testing.T) {
	f := &fleet{}
	var live [3]*appsv1.Deployment
	for step := range 2000 {
		i := step * 7 % len(live)
		switch step % 5 {
		case 0, 1, 2:
			d := fleetDeployment(i, fmt.Sprint("v", step%2), fmt.Sprint("template-", step%3))
			if step%4 == 0 {
				d.Labels = map[string]string{labelHealthBefore: string(healthReady)}
			}
			var from client.Object
			if live[i] != nil {
				from = live[i]
			}
			f.observe(from, d)
			live[i] = d
		case 3:
			f.admit(fleetKey(i), fmt.Sprint("template-", step%3), "v1", step%2 == 0, intstr.FromString("100%"))
		case 4:
			if live[i] != nil && step%3 == 0 {
				f.observe(live[i], nil)
				live[i] = nil
			} else {
				f.release(fleetKey(i))
			}
		}
		want := &tally{}
		for key, m := range f.members {
			if _, granted := f.granted[key]; granted {
				m.recovering = true
			}
			want.add(m, 1)
		}
		if got := fmt.Sprint(f.sum.bridges, f.sum.recovering, f.sum.revisions); got != fmt.Sprint(want.bridges, want.recovering, want.revisions) {
			t.Fatalf("step %d: the sum is %s, want %v", step, got, want)
		}
	}
	for i := range live {
		f.setState(fleetKey(i), "")
	}
}

// The decision about each bridge must not search the fleet: 10,000 bridges ask.
func TestFleet_TenThousandBridges_DecisionIsFast(t *testing.T) {
	const bridges = 10_000
	f := &fleet{}
	for i := range bridges {
		f.observe(nil, fleetDeployment(i, "v1", "old"))
	}
	// The fastest group of decisions counts, because the machine may be busy.
	const group = 500
	best := time.Hour
	for first := 0; first < bridges; first += group {
		start := time.Now()
		for i := range group {
			f.admit(fleetKey(first+i), "new", "v2", false, intstr.FromInt32(1))
		}
		best = min(best, time.Since(start)/group)
	}
	if best > 50*time.Microsecond {
		t.Errorf("a decision takes %s; want at most 50µs", best)
	}
	for i := range bridges {
		f.setState(fleetKey(i), "")
	}
}
