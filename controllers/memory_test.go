// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxCachePerBridge is the largest size, in bytes, of the objects of a bridge in the cache. The
// memory limit of the installation, 256 MiB, is enough for 10,000 bridges of this size.
const maxCachePerBridge = 10_980

// transforms returns the transform of each cached type.
func transforms() map[reflect.Type]toolscache.TransformFunc {
	out := map[reflect.Type]toolscache.TransformFunc{}
	for obj, options := range CacheOptions(nil).ByObject {
		out[reflect.TypeOf(obj)] = options.Transform
	}
	return out
}

// copyOf returns a copy of an object that shares no memory with it, as if it came from the API
// server, with another name and UID.
func copyOf(t *testing.T, obj client.Object, n int) client.Object {
	t.Helper()
	text, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	out, ok := reflect.New(reflect.TypeOf(obj).Elem()).Interface().(client.Object)
	if !ok {
		t.Fatalf("%T is not an API object", obj)
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	out.SetName(fmt.Sprintf("plant-%05d-%T", n, obj))
	out.SetUID(types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", n)))
	return out
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // the first collection may leave objects of unique.Make
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestCache_OneBridge_NeedsLittleMemory(t *testing.T) {
	b, pod := forwardingBridge(t)
	objects := []client.Object{b, pod}
	for _, kind := range childKinds {
		obj := kind.newObject()
		err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}, obj)
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		if err == nil {
			objects = append(objects, obj)
		}
	}
	const copies = 1000 // the operator of the other tests allocates at the same time
	strip := transforms()
	total := 0
	for _, obj := range objects {
		indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc})
		before := heapInUse()
		for n := range copies {
			stripped, err := strip[reflect.TypeOf(obj)](copyOf(t, obj, n))
			if err != nil {
				t.Fatal(err)
			}
			if err := indexer.Add(stripped); err != nil {
				t.Fatal(err)
			}
		}
		size := int(heapInUse()-before) / copies
		runtime.KeepAlive(indexer)
		t.Logf("%T: %d bytes", obj, size)
		total += size
	}
	t.Logf("all objects of a bridge: %d bytes", total)
	if total > maxCachePerBridge {
		t.Errorf("the objects of a bridge need %d bytes in the cache; want at most %d", total, maxCachePerBridge)
	}
}

// withoutMark removes the part of a fingerprint that stage sets.
func withoutMark(text string) string {
	if template, others := splitFingerprint(text); others != "" {
		return template + "." + others
	}
	return text
}

func TestStripChild_CalledTwice_KeepsTheFingerprint(t *testing.T) {
	b, _ := forwardingBridge(t)
	b.SetDefaultClientIDs(operator.ClusterID)
	p, err := newPlan(b, testDefaults, &operator.Policy)
	if err != nil {
		t.Fatal(err)
	}
	strip := transforms()
	for _, c := range p.children {
		for _, kind := range childKinds {
			if kind.gvk.Kind != c.kind {
				continue
			}
			obj := kind.newObject()
			if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: b.Namespace, Name: c.name}, obj); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := strip[reflect.TypeOf(obj)](obj); err != nil {
					t.Fatal(err)
				}
				if got := appliedFingerprint(obj); withoutMark(got) != withoutMark(c.fingerprint) {
					t.Errorf("the fingerprint of %s in the cache is %q; want %q as in the plan", c.kind, got, c.fingerprint)
				}
			}
			if !metav1.IsControlledBy(obj, b) || len(obj.GetManagedFields()) > 0 {
				t.Errorf("%s: the cache lacks the owner or holds managed fields: %v", c.kind, obj)
			}
		}
	}
}

func TestStripBridge_ManifestOfKubectl_IsRemoved(t *testing.T) {
	b := newBridge("default", "plant")
	b.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}", "example.com/team": "factory"}
	if _, err := stripBridge(b); err != nil {
		t.Fatal(err)
	}
	if len(b.Annotations) != 1 || b.Annotations["example.com/team"] == "" {
		t.Errorf("the cache holds the annotations %v; want only the user's annotation", b.Annotations)
	}
}
