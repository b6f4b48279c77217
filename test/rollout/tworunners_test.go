// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"strconv"
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
	status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 3, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2}
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
		status.Replicas, status.UpdatedReplicas = 2, 2
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

func TestRollout_TwoRunnersWithAWrongImage_AllForwardAndOneBridgeStops(t *testing.T) {
	apiserver.Need(t, server)
	const pairs = 6
	c := newCluster(t)
	stop := startOperator(t, imageV1)
	for i := range pairs {
		b := plainBridge(c.namespace, fmt.Sprintf("pair-%02d", i), i)
		secondRunner(b)
		if err := server.Client.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	c.awaitReady(pairs)
	stop()

	stop = startOperator(t, imageBad)
	c.awaitEvent(v1alpha1.EventRolloutStopped, "ImagePullBackOff")
	c.awaitStates(pairs-1, 1)
	c.assertImages(map[string]int{imageV1: pairs - 1, imageBad: 1})
	c.assertReady(pairs) // the old pods of the stopped bridge forward
	stop()

	stop = startOperator(t, imageV2)
	defer stop()
	c.awaitImages(map[string]int{imageV2: pairs})
	c.awaitStates(0, 0)
	c.awaitReady(pairs)
	c.assertBrokenFirst()
	apiserver.Eventually(t, "one marked pod for each bridge", func(ctx context.Context) (bool, error) {
		got, err := c.costs(ctx)
		return got[imageV2] == 100*pairs, err
	})
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
