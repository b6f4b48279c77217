// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// beforeApply is a client that calls a function once, before the first apply.
type beforeApply struct {
	client.Client
	call func()
}

func (c *beforeApply) Apply(ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	if call := c.call; call != nil {
		c.call = nil
		call()
	}
	return c.Client.Apply(ctx, obj, opts...)
}

// The operator reads its children from a cache. Between that and the write, another client can delete a
// child and create an object of its own with the name.
func TestChildren_ReplacedBetweenReadAndApply_AreNotOverwritten(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	b.Spec.ClassName = "review"
	create(t, b)
	op := operatorOf("review", testRunnerImage)
	op.passUntil(t, b, "a reconciled bridge", wasObserved(b))
	b = update(t, b, newTopic)
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}, Data: map[string]string{"mine": "yes"}}
	replaced := false
	op.Client = &beforeApply{operator.Client, func() {
		old := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}}
		if err := server.Client.Delete(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		create(t, theirs)
		replaced = true
	}}
	op.passUntil(t, b, "an apply", func(*v1alpha1.MQTTBridge) bool { return replaced })
	got := &corev1.ConfigMap{}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(theirs), got); err != nil {
		t.Fatal(err)
	}
	if got.UID != theirs.UID || len(got.OwnerReferences) > 0 || len(got.Data) != 1 {
		t.Errorf("the operator has taken an object of another client: %+v", got)
	}
}
