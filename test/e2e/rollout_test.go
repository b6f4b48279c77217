// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// rolloutTimeout is longer than 20 pods need to start one after the other.
const rolloutTimeout = 5 * time.Minute

// The test changes the operator that all tests share, and therefore does not run in parallel with
// others.
func TestRollout_FleetUpgradedToAWrongImage_StopsOneBridgeAndAllReturn(t *testing.T) {
	const fleet = 20
	w := newWorld(t)
	template := w.bridge.DeepCopy()
	for i := range fleet {
		w.bridge = template.DeepCopy()
		if i > 0 { // the first bridge has the name that the other helpers expect
			w.bridge.Name = fmt.Sprintf("fleet-%02d", i)
		}
		w.bridge.Spec.Runner = &v1alpha1.Runner{Resources: &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
		}}
		w.apply()
	}
	w.fleetReady(fleet)

	t.Cleanup(func() { must(t, release.SetRunnerImage(context.Background(), "")) })
	must(t, release.SetRunnerImage(t.Context(), "registry.invalid/none:v0"))
	var stopped string
	w.eventually(rolloutTimeout, func() error {
		stopped = strings.TrimSpace(w.kubectl("get", "events", "--field-selector=reason="+v1alpha1.EventRolloutStopped, "-o", "jsonpath={.items[*].regarding.name}{.items[*].involvedObject.name}"))
		if stopped == "" {
			return fmt.Errorf("no event %s", v1alpha1.EventRolloutStopped)
		}
		return nil
	})
	t.Logf("the roll-out stopped at %s", stopped)
	w.fleetReady(fleet - 1)
	time.Sleep(time.Minute) // no event can be awaited: the test shows that the roll-out does not continue
	w.fleetReady(fleet - 1)

	must(t, release.SetRunnerImage(t.Context(), ""))
	w.fleetReady(fleet)
}

// fleetReady waits until exactly n bridges are Ready, and their pods are.
func (w *world) fleetReady(n int) {
	w.t.Helper()
	w.eventually(rolloutTimeout, func() error {
		list := &v1alpha1.MQTTBridgeList{}
		if err := json.Unmarshal([]byte(w.kubectl("get", "mqb", "-o", "json")), list); err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			if meta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		if ready != n {
			return fmt.Errorf("%d bridges are Ready, want %d", ready, n)
		}
		return nil
	})
}
