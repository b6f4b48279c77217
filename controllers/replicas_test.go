// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// operatorOf returns an operator of a class that the operator of the other tests ignores. It
// makes passes only on request.
func operatorOf(class, image string) *Reconciler {
	return &Reconciler{
		Client: operator.Client, APIReader: operator.APIReader, Recorder: operator.Recorder, Now: time.Now,
		RunnerImage: image, Class: class,
	}
}

// passUntil makes passes over the bridge until the bridge is as wanted. Nothing starts a pass
// when the cache receives a change, so that each pass waits for the cache.
func (r *Reconciler) passUntil(t *testing.T, b *v1alpha1.MQTTBridge, what string, wanted func(*v1alpha1.MQTTBridge) bool) {
	t.Helper()
	apiserver.Eventually(t, what, func(ctx context.Context) (bool, error) {
		if current, err := cacheIsCurrent(ctx, b); !current || err != nil {
			return false, err
		}
		_, _ = r.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}) // it is repeated
		got := &v1alpha1.MQTTBridge{}
		err := server.Client.Get(ctx, client.ObjectKeyFromObject(b), got)
		return err == nil && wanted(got), err
	})
}

// wasObserved returns whether the status is of the generation of b.
func wasObserved(b *v1alpha1.MQTTBridge) func(*v1alpha1.MQTTBridge) bool {
	return func(got *v1alpha1.MQTTBridge) bool { return got.Status.ObservedGeneration == b.Generation }
}

// The policy cannot check the pod template of an earlier generation. A refused spec must not
// start it again.
func TestPolicy_RefusedSpecEndsSuspension_ForbiddenPodStaysStopped(t *testing.T) {
	for name, refuse := range map[string]func(*v1alpha1.MQTTBridge){
		"invalid":                    makeInvalid,
		"invalid, without the image": func(b *v1alpha1.MQTTBridge) { makeInvalid(b); b.Spec.Runner = nil },
		"a child refused, without the image": func(b *v1alpha1.MQTTBridge) {
			b.Spec.Runner = nil
			withDisk(b, "512Mi", b.Spec.Buffer.Disk.StorageClassName)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(namespace(t), "plant")
			b.Spec.ClassName = "review"
			b.Spec.Runner = &v1alpha1.Runner{Image: "evil.example/miner"}
			withDisk(b, "1Gi", storageClass(t, true))
			create(t, b)
			before := operatorOf("review", testRunnerImage)
			before.passUntil(t, b, "a reconciled bridge", wasObserved(b))
			awaitReplicas(t, b, 1)
			strict := operatorOf("review", testRunnerImage)
			strict.Policy = Policy{Images: []string{"registry.example/"}}
			b = suspend(t, b, true)
			strict.passUntil(t, b, "a suspended bridge", wasObserved(b))
			awaitReplicas(t, b, 0)
			b = update(t, b, func(b *v1alpha1.MQTTBridge) { refuse(b); b.Spec.Suspend = nil })
			strict.passUntil(t, b, "a refused spec", wasObserved(b))
			d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
			if *d.Spec.Replicas != 0 {
				t.Errorf("a refused spec starts a pod with the image %s, which the policy forbids", d.Spec.Template.Spec.Containers[0].Image)
			}
		})
	}
}

func TestPolicy_ForbiddenBridgeScaledByUser_HasOnePodAgain(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	b.Spec.ClassName = "review"
	create(t, b)
	strict := operatorOf("review", testRunnerImage)
	strict.Policy = Policy{Images: []string{"registry.example/"}}
	strict.passUntil(t, b, "a reconciled bridge", wasObserved(b))
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Runner = &v1alpha1.Runner{Image: "evil.example/miner"} })
	strict.passUntil(t, b, "a refused spec", wasObserved(b))
	merge(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}}, `{"spec":{"replicas":3}}`)
	strict.passUntil(t, b, "one replica again", func(*v1alpha1.MQTTBridge) bool {
		return *awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true }).Spec.Replicas == 1
	})
}
