// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// CacheOptions limits the cache to the objects that the controller needs: the bridges,
// their children and their pods in the given namespaces (in all namespaces if none is
// given), without fields that the operator does not read.
func CacheOptions(namespaces []string) cache.Options {
	ours := labels.SelectorFromSet(labels.Set{labelManagedBy: managedByName})
	byObject := map[client.Object]cache.ByObject{
		&v1alpha1.MQTTBridge{}: {Transform: stripBridge},
		&corev1.Pod{}:          {Label: ours, Transform: stripPod},
	}
	for _, kind := range childKinds {
		byObject[kind.object] = cache.ByObject{Label: ours, Transform: stripChild(kind.gvk.Kind)}
	}
	options := cache.Options{
		ByObject: byObject,
		// Reading another kind through the cache is an error: the cache would watch
		// all objects of that kind.
		ReaderFailOnMissingInformer: true,
	}
	if len(namespaces) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range namespaces {
			options.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return options
}
