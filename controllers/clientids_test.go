// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

func TestClientID_Default_ContainsTheIdentityOfTheCluster(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	create(t, b)
	config := awaitChild(t, &corev1.ConfigMapList{}, b, "the ConfigMap", func(c *corev1.ConfigMap) bool { return c != nil })
	got := &v1alpha1.MQTTBridge{}
	if err := yaml.UnmarshalStrict([]byte(config.Data[manifestKey]), got); err != nil {
		t.Fatal(err)
	}
	system := &corev1.Namespace{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, system); err != nil {
		t.Fatal(err)
	}
	want, outside := b.DeepCopy(), b.WithDefaults()
	want.SetDefaultClientIDs(string(system.UID))
	if id := got.Spec.Remote.ClientID; id != want.Spec.Remote.ClientID || id == outside.Spec.Remote.ClientID {
		t.Errorf("the client identifier is %s, want %s", id, want.Spec.Remote.ClientID)
	}
}

func TestClientID_SharedOnOneServer_DegradesBothBridgesUntilItIsChanged(t *testing.T) {
	b, pod := forwardingBridge(t)
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.ClientID = "plant-to-cloud" })
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary()) // with the generation of b
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary)

	other := newBridge(b.Namespace, "other")
	other.Spec.Local.Primary.URL, other.Spec.Remote.ClientID = "mqtt://elsewhere:1883", "plant-to-cloud"
	create(t, other)
	got := awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonClientIDShared)
	message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionDegraded).Message
	for _, want := range []string{`remote.clientID "plant-to-cloud" is also remote.clientID of ` + b.Namespace + "/other", "set another clientID"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message %q lacks %q", message, want)
		}
	}
	other = update(t, other, func(x *v1alpha1.MQTTBridge) { x.Spec.Remote.ClientID = "" })
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary)
	other = update(t, other, func(x *v1alpha1.MQTTBridge) {
		x.Spec.Remote.Failover = &v1alpha1.Failover{Probe: &v1alpha1.Probe{ClientID: "plant-to-cloud"}}
	})
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonClientIDShared)
	other = update(t, other, func(x *v1alpha1.MQTTBridge) { x.Spec.Suspend = ptr.To(true) })
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary)
	other = update(t, other, func(x *v1alpha1.MQTTBridge) { x.Spec.Suspend = nil })
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonClientIDShared)
	if err := apiserver.Need(t, server).Client.Delete(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary)
}

// Who may read a bridge may not be permitted to read the bridges of other namespaces.
func TestClientID_SharedWithAnotherNamespace_BridgeIsNotDescribed(t *testing.T) {
	b, pod := forwardingBridge(t)
	share := func(b *v1alpha1.MQTTBridge) {
		b.Spec.Remote.Primary.URL, b.Spec.Remote.ClientID = "mqtt://"+pod.Namespace+".example:1883", "plant-to-cloud"
	}
	b = update(t, b, share)
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary()) // with the generation of b
	other := newBridge(namespace(t), "another-name")
	share(other)
	create(t, other)
	got := awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonClientIDShared)
	message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionDegraded).Message
	if strings.Contains(message, other.Name) || strings.Contains(message, other.Namespace) || !strings.Contains(message, `remote.clientID "plant-to-cloud" is also the client identifier of a bridge in another namespace`) {
		t.Errorf("the message is %q", message)
	}
}

func TestClientID_Shared_IsReportedBeforeOtherProblems(t *testing.T) {
	shared := func(o *observation) { o.sharedClientIDs = `remote.clientID "a" is also remote.clientID of x/y` }
	for _, c := range []struct {
		name  string
		given *observation
		want  string
	}{
		{"alone", observed(shared), `True/ClientIDShared two bridges use the same client identifier with the same server`},
		{"not connected", observed(withSides(localUp(), remoteDown()), shared), "True/ClientIDShared two bridges"},
		{"not running", observed(noPods, shared), "Unknown/RunnerNotRunning"},
	} {
		d := meta.FindStatusCondition(derive(c.given, epoch), v1alpha1.ConditionDegraded)
		if got := string(d.Status) + "/" + d.Reason + " " + d.Message; !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	d := meta.FindStatusCondition(derive(observed(withSides(localUp(), remoteOnBackup()), shared), epoch), v1alpha1.ConditionDegraded)
	if d.Reason != v1alpha1.ReasonClientIDShared || !strings.Contains(d.Message, "; the remote side is on backup-1") {
		t.Errorf("on a backup: %s %q", d.Reason, d.Message)
	}
}

func TestClientID_SharedByManyBridges_NamesSome(t *testing.T) {
	ns := namespace(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		b := newBridge(ns, name)
		b.Spec.Local.Primary.URL, b.Spec.Local.ClientID = "mqtt://"+ns+":1883", "same"
		create(t, b)
	}
	b := &v1alpha1.MQTTBridge{}
	apiserver.Eventually(t, "five bridges in the cache", func(ctx context.Context) (bool, error) {
		list := &v1alpha1.MQTTBridgeList{}
		err := operator.Client.List(ctx, list, client.InNamespace(ns))
		return len(list.Items) == 5, err
	})
	if err := operator.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "a"}, b); err != nil {
		t.Fatal(err)
	}
	got, err := operator.findSharedClientIDs(t.Context(), b)
	if err != nil || strings.Count(got, "is also") != 3 || !strings.HasSuffix(got, ", and 1 more") {
		t.Errorf("%q, %v", got, err)
	}
}
