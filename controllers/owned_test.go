// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	coordinationv1ac "k8s.io/client-go/applyconfigurations/coordination/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// extracted returns the owned fields of a child as client-go finds them.
func extracted(t *testing.T, o client.Object) map[string]any {
	t.Helper()
	var applied child
	var err error
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		applied, err = corev1ac.ExtractPersistentVolumeClaim(o, FieldOwner)
	case *corev1.ConfigMap:
		applied, err = corev1ac.ExtractConfigMap(o, FieldOwner)
	case *corev1.ServiceAccount:
		applied, err = corev1ac.ExtractServiceAccount(o, FieldOwner)
	case *rbacv1.Role:
		applied, err = rbacv1ac.ExtractRole(o, FieldOwner)
	case *rbacv1.RoleBinding:
		applied, err = rbacv1ac.ExtractRoleBinding(o, FieldOwner)
	case *appsv1.Deployment:
		applied, err = appsv1ac.ExtractDeployment(o, FieldOwner)
	case *networkingv1.NetworkPolicy:
		applied, err = networkingv1ac.ExtractNetworkPolicy(o, FieldOwner)
	case *policyv1.PodDisruptionBudget:
		applied, err = policyv1ac.ExtractPodDisruptionBudget(o, FieldOwner)
	case *metav1.PartialObjectMetadata: // of a Lease
		l := &coordinationv1.Lease{}
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(o), l); err != nil {
			t.Fatal(err)
		}
		applied, err = coordinationv1ac.ExtractLease(l, FieldOwner)
	default:
		err = fmt.Errorf("a %T is no child", o)
	}
	if err != nil {
		t.Fatal(err)
	}
	fields, err := wantedFields(applied)
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// appliedChild applies a child in a namespace and returns it as the API server stores it.
func appliedChild(t *testing.T, c child) client.Object {
	t.Helper()
	u, err := copyChild(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(FieldOwner)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range childKinds {
		if kind.gvk.Kind == *c.GetKind() {
			return read(t, kind, client.ObjectKey{Namespace: u.GetNamespace(), Name: u.GetName()})
		}
	}
	t.Fatalf("kind %s is no kind of children", *c.GetKind())
	return nil
}

func read(t *testing.T, kind childKind, key client.ObjectKey) client.Object {
	t.Helper()
	out := kind.newObject()
	if err := server.Client.Get(t.Context(), key, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// If a field of an apply were missing or had another form, the operator would apply the child
// in each pass.
func TestOwnedFields_ValidManifests_AreTheAppliedOnes(t *testing.T) {
	bridges := fileBridges(t, filepath.Join("test", "manifests", "valid"), "")
	compared := 0
	for name, b := range bridges {
		t.Run(name, func(t *testing.T) {
			b.Namespace = namespace(t)
			b.SetDefaultClientIDs("cluster")
			for _, c := range built(t, b) {
				want, err := wantedFields(c)
				if err != nil {
					t.Fatal(err)
				}
				live := appliedChild(t, c)
				got, err := ownedFields(live)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: the owned fields are\n%v\nwant\n%v", *c.GetKind(), got, want)
				}
				if from := extracted(t, live); !reflect.DeepEqual(got, from) {
					t.Errorf("%s: the owned fields are\n%v\nclient-go finds\n%v", *c.GetKind(), got, from)
				}
				compared++
			}
		})
	}
	if compared < 5*len(bridges) {
		t.Errorf("only %d children of %d manifests were compared", compared, len(bridges))
	}
}

func TestOwnedFields_ChangesOfAnotherClient_AreSeenAsByClientGo(t *testing.T) {
	for name, tt := range map[string]struct {
		patch   string
		differs bool // from the applied fields
	}{
		"nothing":                 {`{}`, false},
		"a label of the client":   {`{"metadata":{"labels":{"team":"plant"}}}`, false},
		"a changed label":         {`{"metadata":{"labels":{"app.kubernetes.io/component":"other"}}}`, true},
		"a removed label":         {`{"metadata":{"labels":{"app.kubernetes.io/component":null}}}`, true},
		"the same label":          {`{"metadata":{"labels":{"app.kubernetes.io/component":"bridge-runner"}}}`, false},
		"another owner":           {`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"}]}}`, false},
		"a removed owner":         {`{"metadata":{"ownerReferences":[{"$patch":"delete","uid":"a-uid"}]}}`, true},
		"a container":             {`{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"b"}]}}}}`, false},
		"a changed image":         {`{"spec":{"template":{"spec":{"containers":[{"name":"bridge-runner","image":"b"}]}}}}`, true},
		"a changed quantity":      {`{"spec":{"template":{"spec":{"containers":[{"name":"bridge-runner","resources":{"requests":{"cpu":"51m"}}}]}}}}`, true},
		"a limit":                 {`{"spec":{"template":{"spec":{"containers":[{"name":"bridge-runner","resources":{"limits":{"cpu":"1"}}}]}}}}`, false},
		"a variable":              {`{"spec":{"template":{"spec":{"containers":[{"name":"bridge-runner","env":[{"name":"A","value":"b"}]}]}}}}`, false},
		"a changed variable":      {`{"spec":{"template":{"spec":{"containers":[{"name":"bridge-runner","env":[{"name":"POD_NAME","value":"b","valueFrom":null}]}]}}}}`, true},
		"changed arguments":       {`{"spec":{"template":{"spec":{"containers":[{"name":"bridge-runner","args":["--a"]}]}}}}`, true},
		"removed arguments":       {`{"spec":{"template":{"spec":{"containers":[{"name":"bridge-runner","args":null}]}}}}`, true},
		"a default":               {`{"spec":{"progressDeadlineSeconds":60}}`, false},
		"replicas":                {`{"spec":{"replicas":3}}`, true},
		"a field of a sub-object": {`{"spec":{"template":{"spec":{"securityContext":{"supplementalGroups":[5]}}}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(namespace(t), "plant")
			b.UID = "a-uid"
			c := builtDeployment(t, b)
			before, err := ownedFields(appliedChild(t, c))
			if err != nil {
				t.Fatal(err)
			}
			live := &appsv1.Deployment{}
			live.Namespace, live.Name = b.Namespace, *c.GetName()
			merge(t, live, tt.patch)
			got, err := ownedFields(live)
			if err != nil {
				t.Fatal(err)
			}
			if from := extracted(t, live); !reflect.DeepEqual(got, from) {
				t.Errorf("the owned fields are\n%v\nclient-go finds\n%v", got, from)
			}
			if differs := !reflect.DeepEqual(got, before); differs != tt.differs {
				t.Errorf("the owned fields have changed: %t; want %t:\n%v", differs, tt.differs, got)
			}
		})
	}
}

func TestOwnedFields_NothingApplied_AreNil(t *testing.T) {
	got, err := ownedFields(&corev1.ConfigMap{Data: map[string]string{"a": "b"}})
	if got != nil || err != nil {
		t.Errorf("owned fields %v, %v; want none", got, err)
	}
}

// maxStripBytes is the largest number of bytes that the fingerprints of the children of a
// bridge, and a copy of the children, need for a moment. A restarted operator makes them for
// each bridge.
const maxStripBytes = 160 << 10

func TestStripChild_ChildrenOfOneBridge_AllocateLittle(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	b.UID = "a-uid"
	var live []client.Object
	for _, c := range built(t, b) {
		live = append(live, appliedChild(t, c))
	}
	strip := transforms()
	result := testing.Benchmark(func(bench *testing.B) {
		for range bench.N {
			for _, o := range live {
				copied, ok := o.DeepCopyObject().(client.Object)
				if !ok {
					bench.Fatalf("%T is not an API object", o)
				}
				if _, err := strip[reflect.TypeOf(o)](copied); err != nil {
					bench.Fatal(err)
				}
			}
		}
	})
	t.Logf("%d bytes, %s", result.AllocedBytesPerOp(), result)
	if got := result.AllocedBytesPerOp(); got > maxStripBytes {
		t.Errorf("%d bytes are allocated; want at most %d", got, maxStripBytes)
	}
}
