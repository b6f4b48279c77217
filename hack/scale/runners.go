// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// runners plays the Deployment controller and the runners, which no other program can do without
// images and brokers: each Deployment gets one pod on a node of kwok, and reports that the bridge
// forwards once kwok has made the pod ready.
type runners struct {
	client     client.Client
	watched    *watcher
	namespaces int
	queue      workqueue.TypedRateLimitingInterface[client.ObjectKey] // of Deployments
	changes    atomic.Int64                                           // of the spec of each bridge, which the runners have applied

	mu     sync.Mutex // guards the following fields
	paused chan struct{}
	pods   map[client.ObjectKey]podOf
	err    error // the last error, for messages
}

// podOf is the pod of a Deployment.
type podOf struct {
	name, template string
	reported       bool
}

const runnerWorkers = 8

func newRunners(c client.Client, watched *watcher, namespaces int) *runners {
	return &runners{
		client: c, watched: watched, namespaces: namespaces, pods: map[client.ObjectKey]podOf{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[client.ObjectKey]()),
	}
}

// pause stops the work until resume.
func (r *runners) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused = make(chan struct{})
}

func (r *runners) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.paused)
	r.paused = nil
}

// run works until the context ends.
func (r *runners) run(ctx context.Context) {
	go func() {
		<-ctx.Done()
		r.queue.ShutDown()
	}()
	for range runnerWorkers {
		go func() {
			for {
				key, ended := r.queue.Get()
				if ended {
					return
				}
				r.mu.Lock()
				paused := r.paused
				r.mu.Unlock()
				if paused != nil {
					select {
					case <-paused:
					case <-ctx.Done():
					}
				}
				if err := r.sync(ctx, key); err != nil {
					r.mu.Lock()
					r.err = err
					r.mu.Unlock()
					r.queue.AddRateLimited(key)
				}
				r.queue.Done(key)
			}
		}()
	}
}

// podOf returns the pod of the Deployment with the key.
func (r *runners) podOf(key client.ObjectKey) podOf {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pods[key]
}

func (r *runners) setPod(key client.ObjectKey, pod podOf) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pods[key] = pod
}

// sync takes the next step of a Deployment: it replaces a pod of an earlier template, or reports
// for a pod that has become ready. Each change of the pod is followed by another call.
func (r *runners) sync(ctx context.Context, key client.ObjectKey) error {
	d := &appsv1.Deployment{}
	if err := r.watched.cache.Get(ctx, key, d); err != nil {
		return client.IgnoreNotFound(err)
	}
	template := d.Spec.Template.Spec.Containers[0].Image + " " + fmt.Sprint(d.Spec.Template.Annotations)
	current := r.podOf(key)
	if current.template != template {
		return r.replace(ctx, d, current.name, template)
	}
	if !current.reported {
		pod, err := r.pod(ctx, key)
		if err != nil || !slices.ContainsFunc(pod.Status.Conditions, ready) {
			return client.IgnoreNotFound(err)
		}
		if err := r.report(ctx, key, 0); err != nil {
			return err
		}
		current.reported = true
		r.setPod(key, current)
	}
	return r.complete(ctx, d)
}

func ready(c corev1.PodCondition) bool {
	return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
}

// replace deletes the old pod, and creates a new pod once kwok has ended the old pod, as the
// strategy Recreate does.
func (r *runners) replace(ctx context.Context, d *appsv1.Deployment, old, template string) error {
	if old != "" {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: old}}
		if err := r.client.Delete(ctx, pod); !apierrors.IsNotFound(err) {
			return err
		}
	}
	i, err := bridgeOf(d.Name)
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy()}
	pod.Namespace, pod.Name = d.Namespace, fmt.Sprintf("%s-%x", d.Name, time.Now().UnixMicro())
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	pod.Spec.NodeName = nodeOf(i) // no scheduler runs
	if err := r.client.Create(ctx, pod); err != nil {
		return err
	}
	r.setPod(client.ObjectKeyFromObject(d), podOf{name: pod.Name, template: template})
	return nil
}

// pod reads the pod of a Deployment.
func (r *runners) pod(ctx context.Context, deployment client.ObjectKey) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, r.watched.cache.Get(ctx, client.ObjectKey{Namespace: deployment.Namespace, Name: r.podOf(deployment).name}, pod)
}

// bridgeOf returns the number of the bridge of a Deployment.
func bridgeOf(deployment string) (i int, err error) {
	if _, err := fmt.Sscanf(deployment, "plant-%d-bridge", &i); err != nil {
		return 0, fmt.Errorf("the Deployment %s belongs to no bridge of this command: %w", deployment, err)
	}
	return i, nil
}

// complete sets the status of a Deployment as after a roll-out.
func (r *runners) complete(ctx context.Context, d *appsv1.Deployment) error {
	if d.Status.ObservedGeneration == d.Generation {
		return nil
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	return r.client.Status().Update(ctx, d)
}

// report applies the status of a runner that uses a server of the remote side.
func (r *runners) report(ctx context.Context, deployment client.ObjectKey, active int) error {
	i, err := bridgeOf(deployment.Name)
	if err != nil {
		return err
	}
	pod, err := r.pod(ctx, deployment)
	if err != nil {
		return err
	}
	status, err := newReport(i, r.namespaces, pod, 1+r.changes.Load(), active)
	if err != nil {
		return err
	}
	return r.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(status),
		client.FieldOwner(v1alpha1.RunnerFieldManager), client.ForceOwnership)
}
