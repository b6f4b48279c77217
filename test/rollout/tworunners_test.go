// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// rolls reports whether a Deployment replaces its pods one by one.
func rolls(d *appsv1.Deployment) bool {
	return d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType
}

// observe sets the observed generation of a Deployment whose pods stay.
func observe(ctx context.Context, d *appsv1.Deployment) error {
	patch := fmt.Appendf(nil, `{"status":{"observedGeneration":%d}}`, d.Generation)
	return server.Client.Status().Patch(ctx, d, client.RawPatch("application/merge-patch+json", patch))
}

// rollPods replaces the two pods of a Deployment as the strategy RollingUpdate does with a surge of
// one: if the first new pod does not start, the old pods stay.
func (c *cluster) rollPods(ctx context.Context, d *appsv1.Deployment) error {
	old := &corev1.PodList{}
	if err := server.Client.List(ctx, old, client.InNamespace(c.namespace), client.MatchingLabels(d.Spec.Selector.MatchLabels)); err != nil {
		return err
	}
	first, second := fmt.Sprintf("%s-%d-a", d.Name, d.Generation), fmt.Sprintf("%s-%d-b", d.Name, d.Generation)
	if err := c.startPod(ctx, d, first); err != nil {
		return err
	}
	status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 3, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: d.Status.AvailableReplicas}
	if image(d) != imageBad {
		if err := c.startPod(ctx, d, second); err != nil {
			return err
		}
		if err := c.report(ctx, d.Labels["app.kubernetes.io/instance"], first, second); err != nil {
			return err
		}
		for i := range old.Items {
			if err := client.IgnoreNotFound(server.Client.Delete(ctx, &old.Items[i])); err != nil {
				return err
			}
		}
		status.Replicas, status.UpdatedReplicas, status.AvailableReplicas = 2, 2, 2
	}
	before := d.DeepCopy()
	d.Status = status
	return server.Client.Status().Patch(ctx, d, client.MergeFrom(before))
}

// costs returns the costs of the deletion of the pods, by the image of the pod.
func (c *cluster) costs(ctx context.Context) (map[string]int, error) {
	list := &corev1.PodList{}
	err := server.Client.List(ctx, list, client.InNamespace(c.namespace))
	out := map[string]int{}
	for i := range list.Items {
		p := &list.Items[i]
		cost, _ := strconv.Atoi(p.Annotations[corev1.PodDeletionCost])
		out[p.Spec.Containers[0].Image] += cost
	}
	return out, err
}

// createPairs creates bridges with two runners, and waits until all of them are Ready with the first
// image.
func (c *cluster) createPairs(n int) {
	c.t.Helper()
	stop := startOperator(c.t, imageV1)
	defer stop()
	for i := range n {
		b := plainBridge(c.namespace, fmt.Sprintf("pair-%02d", i), i)
		secondRunner(b)
		if err := server.Client.Create(c.t.Context(), b); err != nil {
			c.t.Fatal(err)
		}
	}
	c.awaitReady(n)
}

// stopAndCorrect rolls out a wrong image to n bridges with two runners, which stops the roll-out at one
// bridge with an event that contains cause. Then it rolls out a correct image, which reaches all bridges.
// It returns the function that stops the operator.
func (c *cluster) stopAndCorrect(n int, cause string) (stop func()) {
	c.t.Helper()
	stop = startOperator(c.t, imageBad)
	c.awaitEvent(v1alpha1.EventRolloutStopped, cause)
	c.awaitStates(n-1, 1)
	c.assertImages(map[string]int{imageV1: n - 1, imageBad: 1})
	c.assertReady(n) // the old pods of the stopped bridge forward
	stop()

	stop = startOperator(c.t, imageV2)
	c.awaitImages(map[string]int{imageV2: n})
	c.awaitStates(0, 0)
	c.awaitReady(n)
	c.assertBrokenFirst()
	return stop
}

func TestRollout_TwoRunnersWithAWrongImage_AllForwardAndOneBridgeStops(t *testing.T) {
	apiserver.Need(t, server)
	const pairs = 6
	c := newCluster(t)
	c.createPairs(pairs)
	stop := c.stopAndCorrect(pairs, "ImagePullBackOff")
	defer stop()
	apiserver.Eventually(t, "one marked pod for each bridge", func(ctx context.Context) (bool, error) {
		got, err := c.costs(ctx)
		return got[imageV2] == 100*pairs, err
	})
}

// loseStandbys makes one of the two pods of each Deployment not ready.
func (c *cluster) loseStandbys() {
	c.t.Helper()
	list := &appsv1.DeploymentList{}
	apiserver.Eventually(c.t, "two available pods of each Deployment", func(ctx context.Context) (bool, error) {
		err := server.Client.List(ctx, list, client.InNamespace(c.namespace))
		return !slices.ContainsFunc(list.Items, func(d appsv1.Deployment) bool { return d.Status.AvailableReplicas < 2 }), err
	})
	for i := range list.Items {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"readyReplicas":1,"availableReplicas":1}}`))
		if err := server.Client.Status().Patch(c.t.Context(), &list.Items[i], patch); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Bridges that forward without a standby, for example because a node is down, are as healthy as a bridge
// with one runner. A wrong image must not reach all of them.
func TestRollout_TwoRunnersWithoutAStandbyAndAWrongImage_OneBridgeStops(t *testing.T) {
	apiserver.Need(t, server)
	const pairs = 3
	c := newCluster(t)
	c.createPairs(pairs)
	c.loseStandbys()
	c.stopAndCorrect(pairs, "was WithoutStandby before its pod was replaced")()
}

// Only the operator's own image is known to join a group: a runner of an earlier version does not know
// the argument --group.
func TestRollout_SecondRunnerWhileTheNewImageIsUnproven_StartsNoMemberOfTheOldImage(t *testing.T) {
	apiserver.Need(t, server)
	const fleet = 3
	c := newCluster(t)
	stop := startOperator(t, imageV1)
	for i := range fleet {
		if err := server.Client.Create(t.Context(), plainBridge(c.namespace, fmt.Sprintf("bridge-%02d", i+3), i)); err != nil {
			t.Fatal(err)
		}
	}
	c.awaitReady(fleet)
	stop()

	stop = startOperator(t, imageBad)
	c.awaitEvent(v1alpha1.EventRolloutStopped, "ImagePullBackOff")
	c.awaitStates(fleet-1, 1)
	before := c.change(c.waiting(1)[0], secondRunner)
	apiserver.Await(t, server.Client, &appsv1.DeploymentList{}, client.ObjectKeyFromObject(before), "the template for two runners", func(d *appsv1.Deployment) bool {
		return slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Args, func(arg string) bool { return strings.HasPrefix(arg, "--group=") })
	})
	c.assertImages(map[string]int{imageV1: 1, imageBad: 2})
	stop()

	stop = startOperator(t, imageV2)
	defer stop()
	c.awaitImages(map[string]int{imageV2: fleet})
	c.awaitReady(fleet)
	c.awaitStates(0, 0)
}

// secondRunner adds a second runner to a bridge.
func secondRunner(b *v1alpha1.MQTTBridge) { b.Spec.Replicas = ptr.To[int32](2) }

// rolling reports whether the only bridge has two runners, and its Deployment replaces them one by
// one.
func rolling(ctx context.Context, c *cluster) (bool, error) {
	list := &appsv1.DeploymentList{}
	if err := server.Client.List(ctx, list, client.InNamespace(c.namespace)); err != nil || len(list.Items) != 1 {
		return false, err
	}
	if d := &list.Items[0]; !rolls(d) || *d.Spec.Replicas != 2 {
		return false, nil
	}
	return working(1, imageV1)(ctx, c)
}
