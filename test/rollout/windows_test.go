// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/controllers"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// always is the name of a bridge whose own window is always open.
const always = "bridge-11"

// at starts an operator with a window from 02:00 to 03:00 UTC, and with a clock that runs from
// the given time of a day.
func at(t *testing.T, hour, minute, second int) func(*controllers.Reconciler) {
	t.Helper()
	windows, err := controllers.ParseUpdateWindows("0 2 * * * 1h", "")
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	from := time.Date(2026, 3, 7, hour, minute, second, 0, time.UTC)
	return func(r *controllers.Reconciler) {
		r.UpdateWindows = windows
		r.Now = func() time.Time { return from.Add(time.Since(started)) }
	}
}

func TestWindows_Upgrade_ReplacesPodsOnlyWhileAWindowIsOpen(t *testing.T) {
	apiserver.Need(t, server)
	c := newFleet(t)
	open := c.change(always, func(b *v1alpha1.MQTTBridge) {
		b.Spec.Runner = &v1alpha1.Runner{UpdateWindows: []v1alpha1.Window{{Schedule: "0 0 * * *", DurationMinutes: 1440}}}
	})

	// Outside the window, only the bridge with its own window is replaced.
	stop := startOperator(t, imageV2, at(t, 1, 30, 0))
	c.awaitReplaced(open)
	c.awaitAllStates(0, bridges-2, 0)
	c.assertImages(map[string]int{imageV1: bridges - 1, imageV2: 1})
	c.assertReady(bridges)
	c.awaitConditions(v1alpha1.ConditionUpdateScheduled, "2026-03-07T02:00:00Z", bridges-2)
	c.assertManifests()

	// A change that the running pod applies needs no window, and the pod still waits for it.
	c.awaitApplied("bridge-08", c.change("bridge-08", newTopic))
	c.awaitAllStates(0, bridges-2, 0)
	c.awaitConditions(v1alpha1.ConditionUpdateScheduled, "2026-03-07T02:00:00Z", bridges-2)
	c.assertManifests()

	// A change of the pod is applied at once, with the new image.
	c.awaitReplaced(c.change("bridge-07", newPod))
	c.awaitAllStates(0, bridges-3, 0)
	c.assertImages(map[string]int{imageV1: bridges - 2, imageV2: 2})

	// The next leader finds the same state, and writes nothing.
	c.awaitConditions(v1alpha1.ConditionReconciling, "", 0)
	stop()
	before := c.versions()
	stop = startOperator(t, imageV2, at(t, 1, 45, 0))
	c.awaitAllStates(0, bridges-3, 0)
	stop()
	if after := c.versions(); after != before {
		t.Errorf("a restarted operator changed bridges from %s to %s", before, after)
	}

	// The window opens while the operator runs.
	stop = startOperator(t, imageV2, at(t, 1, 59, 55))
	c.awaitAllStates(0, bridges-3, 0)
	c.awaitImages(map[string]int{imageV1: 1, imageV2: bridges - 1})
	c.awaitReady(bridges)
	c.awaitAllStates(0, 0, 0)
	c.awaitConditions(v1alpha1.ConditionUpdateScheduled, "", 0)
	stop()
	if c.mostDown() > limit {
		t.Errorf("%d bridges were down at the same time; want at most %d", c.mostDown(), limit)
	}
}

func TestWindows_WrongImageWhenTheWindowCloses_IsCorrectedOutsideTheWindow(t *testing.T) {
	apiserver.Need(t, server)
	c := newFleet(t)
	stop := startOperator(t, imageBad, at(t, 2, 15, 0))
	c.awaitEvent(v1alpha1.EventRolloutStopped, "ImagePullBackOff")
	c.awaitAllStates(bridges-2, 0, 1)
	stop()

	stop = startOperator(t, imageBad, at(t, 3, 0, 1))
	c.awaitAllStates(0, bridges-2, 1)
	c.assertImages(map[string]int{imageV1: bridges - 1, imageBad: 1})
	stop()

	// The correction reaches the stopped bridge, and no other bridge.
	stop = startOperator(t, imageV2, at(t, 4, 0, 0))
	c.awaitReady(bridges)
	c.awaitAllStates(0, bridges-2, 0)
	c.assertImages(map[string]int{imageV1: bridges - 1, imageV2: 1})
	c.assertBrokenFirst()
	c.awaitConditions(v1alpha1.ConditionUpdateScheduled, "2026-03-08T02:00:00Z", bridges-2)

	// A window of the bridge replaces the operator's window.
	open := c.change(c.waiting(1)[0], func(b *v1alpha1.MQTTBridge) {
		b.Spec.Runner = &v1alpha1.Runner{UpdateWindows: []v1alpha1.Window{{Schedule: "30 3 * * *", DurationMinutes: 60}}}
	})
	c.awaitReplaced(open)
	c.awaitAllStates(0, bridges-3, 0)
	stop()
}

// waiting returns the names of the first n bridges that the wrong image has not stopped. Any bridge
// without a window of its own can be the first of a roll-out.
func (c *cluster) waiting(n int) []string {
	c.t.Helper()
	deployments := &appsv1.DeploymentList{}
	if err := server.Client.List(c.t.Context(), deployments, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for i := range deployments.Items { // in the order of their names
		if d := &deployments.Items[i]; d.Name != c.broken {
			names = append(names, d.Labels["app.kubernetes.io/instance"])
		}
	}
	if c.broken == "" || len(names) < n {
		c.t.Fatalf("the wrong image has stopped the Deployment %q, and the bridges %v wait; want a stopped one, and %d that wait", c.broken, names, n)
	}
	return names[:n]
}

// awaitConditions waits until n bridges have a condition whose message contains text.
func (c *cluster) awaitConditions(conditionType, text string, n int) {
	c.t.Helper()
	apiserver.Eventually(c.t, fmt.Sprintf("%d bridges have %s with %q", n, conditionType, text), func(ctx context.Context) (bool, error) {
		list, got := &v1alpha1.MQTTBridgeList{}, 0
		err := server.Client.List(ctx, list, client.InNamespace(c.namespace))
		for i := range list.Items {
			if found := meta.FindStatusCondition(list.Items[i].Status.Conditions, conditionType); found != nil && strings.Contains(found.Message, text) {
				got++
			}
		}
		return got == n, err
	})
}

// versions returns the resource versions of all bridges and Deployments.
func (c *cluster) versions() string {
	c.t.Helper()
	var out []string
	for _, list := range []client.ObjectList{&v1alpha1.MQTTBridgeList{}, &appsv1.DeploymentList{}} {
		if err := server.Client.List(c.t.Context(), list, client.InNamespace(c.namespace)); err != nil {
			c.t.Fatal(err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			if obj, ok := item.(client.Object); ok {
				out = append(out, obj.GetName()+":"+obj.GetResourceVersion())
			}
			return nil
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return strings.Join(out, " ")
}
