// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// kubelet plays the Deployment controller, the kubelet and the runners: each Deployment gets one
// pod, which is ready at once and reports that the bridge forwards.
type kubelet struct {
	client     client.Client
	watched    *watcher
	namespaces int
	queue      workqueue.TypedRateLimitingInterface[client.ObjectKey]

	mu     sync.Mutex // guards the following fields
	paused chan struct{}
	pods   map[client.ObjectKey]podOf
	err    error // the first error, for messages
}

// podOf is the pod of a Deployment.
type podOf struct {
	name, template string
	started        time.Time
}

const kubeletWorkers = 8

func newKubelet(c client.Client, watched *watcher, namespaces int) *kubelet {
	return &kubelet{
		client: c, watched: watched, namespaces: namespaces, pods: map[client.ObjectKey]podOf{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[client.ObjectKey]()),
	}
}

// pause stops the work until resume.
func (k *kubelet) pause() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paused = make(chan struct{})
}

func (k *kubelet) resume() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.paused)
	k.paused = nil
}

// run works until the context ends.
func (k *kubelet) run(ctx context.Context) {
	go func() {
		<-ctx.Done()
		k.queue.ShutDown()
	}()
	for range kubeletWorkers {
		go func() {
			for {
				key, ended := k.queue.Get()
				if ended {
					return
				}
				k.mu.Lock()
				paused := k.paused
				k.mu.Unlock()
				if paused != nil {
					select {
					case <-paused:
					case <-ctx.Done():
					}
				}
				if err := k.sync(ctx, key); err != nil {
					k.mu.Lock()
					k.err = err
					k.mu.Unlock()
					k.queue.AddRateLimited(key)
				}
				k.queue.Done(key)
			}
		}()
	}
}

// podOf returns the pod of the Deployment with the key.
func (k *kubelet) podOf(key client.ObjectKey) podOf {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pods[key]
}

// sync gives a Deployment a pod of its current template.
func (k *kubelet) sync(ctx context.Context, key client.ObjectKey) error {
	d := &appsv1.Deployment{}
	if err := k.watched.cache.Get(ctx, key, d); err != nil {
		return client.IgnoreNotFound(err)
	}
	template := d.Spec.Template.Spec.Containers[0].Image + " " + fmt.Sprint(d.Spec.Template.Annotations)
	old := k.podOf(key)
	if old.template == template {
		return k.complete(ctx, d)
	}
	if old.name != "" {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: old.name}}
		if err := client.IgnoreNotFound(k.client.Delete(ctx, pod, client.GracePeriodSeconds(0))); err != nil {
			return err
		}
	}
	started := time.Now()
	pod := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy()}
	pod.Namespace, pod.Name = key.Namespace, fmt.Sprintf("%s-%x", key.Name, started.UnixMicro())
	pod.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
	if err := k.client.Create(ctx, pod); err != nil {
		return err
	}
	pod.Status = readyPod(pod.Spec.Containers[0].Image, started)
	if err := k.client.Status().Update(ctx, pod); err != nil {
		return err
	}
	k.mu.Lock()
	k.pods[key] = podOf{pod.Name, template, started}
	k.mu.Unlock()
	if err := k.report(ctx, key, 0); err != nil {
		return err
	}
	return k.complete(ctx, d)
}

// complete sets the status of a Deployment as after a roll-out.
func (k *kubelet) complete(ctx context.Context, d *appsv1.Deployment) error {
	if d.Status.ObservedGeneration == d.Generation {
		return nil
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	return k.client.Status().Update(ctx, d)
}

// report applies the status of a runner that uses a server of the remote side.
func (k *kubelet) report(ctx context.Context, deployment client.ObjectKey, active int) error {
	var i int
	if _, err := fmt.Sscanf(deployment.Name, "plant-%d-bridge", &i); err != nil {
		return fmt.Errorf("the Deployment %s belongs to no bridge of this command: %w", deployment.Name, err)
	}
	pod := k.podOf(deployment)
	status, err := newReport(i, k.namespaces, pod.name, pod.started, active)
	if err != nil {
		return err
	}
	return k.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(status),
		client.FieldOwner(v1alpha1.RunnerFieldManager), client.ForceOwnership)
}
