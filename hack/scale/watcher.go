// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// state is the part of a bridge's status that the phases wait for.
type state struct {
	generation int64
	// observed is true if the operator has seen the current spec.
	observed bool
	// settled is true if the bridge is ready, and the operator waits for nothing.
	settled bool
	// onBackup is true if the condition Degraded names a backup.
	onBackup bool
	// pod is the pod of the report.
	pod string
}

func stateOf(b *v1alpha1.MQTTBridge) state {
	s := state{generation: b.Generation, observed: b.Status.ObservedGeneration == b.Generation}
	s.settled = s.observed && meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionReady) &&
		meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReconciling) == nil &&
		meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionStalled) == nil
	degraded := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionDegraded)
	s.onBackup = degraded != nil && degraded.Reason == v1alpha1.ReasonActiveOnBackup
	if r := b.Status.ActiveRunner(); r != nil {
		s.pod = r.Pod
	}
	return s
}

// watcher follows the bridges, the Deployments and the pods.
type watcher struct {
	cache cache.Cache

	mu      sync.Mutex // guards bridges
	bridges map[client.ObjectKey]state
}

func newWatcher(config *rest.Config) (*watcher, error) {
	c, err := cache.New(config, cache.Options{Scheme: apiserver.Scheme(), DefaultTransform: cache.TransformStripManagedFields()})
	return &watcher{cache: c, bridges: map[client.ObjectKey]state{}}, err
}

// run watches until the context ends. It calls deployment for each change of a Deployment or its pod.
func (w *watcher) run(ctx context.Context, deployment func(client.ObjectKey)) error {
	go func() { _ = w.cache.Start(ctx) }() // it ends with the context
	for _, kind := range []struct {
		object client.Object
		seen   func(client.Object)
	}{
		{&v1alpha1.MQTTBridge{}, w.see},
		{&appsv1.Deployment{}, func(o client.Object) { deployment(client.ObjectKeyFromObject(o)) }},
		{&corev1.Pod{}, func(o client.Object) {
			if owner := metav1.GetControllerOf(o); owner != nil {
				deployment(client.ObjectKey{Namespace: o.GetNamespace(), Name: owner.Name})
			}
		}},
	} {
		informer, err := w.cache.GetInformer(ctx, kind.object)
		if err != nil {
			return err
		}
		handle := func(o any) {
			if object, ok := o.(client.Object); ok {
				kind.seen(object)
			}
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: handle, UpdateFunc: func(_, o any) { handle(o) }, DeleteFunc: handle,
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) see(o client.Object) {
	if b, ok := o.(*v1alpha1.MQTTBridge); ok {
		w.mu.Lock()
		w.bridges[client.ObjectKeyFromObject(b)] = stateOf(b)
		w.mu.Unlock()
	}
}

// count returns the number of bridges that a function accepts.
func (w *watcher) count(accept func(client.ObjectKey, state) bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for key, s := range w.bridges {
		if accept(key, s) {
			n++
		}
	}
	return n
}

const pollInterval = 50 * time.Millisecond

// await waits until done returns true.
func await(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return errors.New("interrupted")
		}
	}
}
