// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The cache of one namespace is another implementation than the cache of all namespaces.
func TestIndexPods_BridgesOfTheSameName_HaveTheirOwnPods(t *testing.T) {
	first, second := newBridge(namespace(t), "plant"), newBridge(namespace(t), "plant")
	neighbor := newBridge(first.Namespace, "other")
	for _, b := range []*v1alpha1.MQTTBridge{first, second, neighbor} {
		createPod(t, runnerPod(b, b.Name+"-of-"+b.Namespace))
	}
	for name, namespaces := range map[string][]string{"all namespaces": nil, "two namespaces": {first.Namespace, second.Namespace}} {
		t.Run(name, func(t *testing.T) {
			reader := &Reconciler{Client: cachedClient(t, namespaces)}
			for _, b := range []*v1alpha1.MQTTBridge{first, second, neighbor} {
				o, err := reader.observe(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				if want := b.Name + "-of-" + b.Namespace; len(o.pods) != 1 || o.pods[0].Name != want {
					t.Errorf("bridge %s/%s has the pods %v; want %s", b.Namespace, b.Name, o.pods, want)
				}
			}
		})
	}
}

// cachedClient returns a client that reads from a cache with the operator's indexes.
func cachedClient(t *testing.T, namespaces []string) client.Client {
	t.Helper()
	options := CacheOptions(namespaces)
	options.Scheme = apiserver.Scheme()
	c, err := cache.New(server.Admin, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := addIndexes(c); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Start(t.Context()) }()
	if !c.WaitForCacheSync(t.Context()) {
		t.Fatal("the cache does not fill")
	}
	out, err := client.New(server.Admin, client.Options{Scheme: options.Scheme, Cache: &client.CacheOptions{Reader: c}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
