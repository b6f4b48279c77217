// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// row returns the columns of a bridge as kubectl get -o wide prints them, without the columns
// for times.
func row(t *testing.T, b *v1alpha1.MQTTBridge) map[string]string {
	t.Helper()
	config := rest.CopyConfig(server.Admin)
	config.GroupVersion, config.APIPath = &v1alpha1.GroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(apiserver.Scheme()).WithoutConversion()
	c, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.Get().Namespace(b.Namespace).Resource("mqttbridges").Name(b.Name).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(raw, table); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for i, column := range table.ColumnDefinitions {
		if cell := table.Rows[0].Cells[i]; cell != nil && column.Name != "Since" && column.Name != "Age" {
			out[column.Name] = fmt.Sprint(cell)
		}
	}
	return out
}

func wantRow(t *testing.T, b *v1alpha1.MQTTBridge, want map[string]string) {
	t.Helper()
	got := row(t, b)
	for column, text := range want {
		if !strings.HasPrefix(got[column], text) || text == "" && got[column] != "" {
			t.Errorf("column %s is %q, want %q", column, got[column], text)
		}
	}
}

func TestColumns_States_AreShown(t *testing.T) {
	b, pod := forwardingBridge(t)
	remote := remoteOnPrimary()
	remote.Switches = ptr.To[int64](0)
	applyReport(t, b, pod.Name, localUp(), remote)
	wantRow(t, b, map[string]string{
		"Name": "plant", "Ready": "True", "Local": "primary", "Remote": "primary", "Role": "Primary", "Switches": "0",
		"Reason": "Forwarding", "Generation": "1", "Message": "forwarding with generation 1 between",
	})
	b = suspend(t, b, true)
	awaitReplicas(t, b, 0)
	completeRollout(t, b)
	if err := server.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	awaitBridge(t, b, "suspended, and nothing left to do", isSuspendedOnly)
	wantRow(t, b, map[string]string{
		"Name": "plant", "Ready": "", "Local": "", "Remote": "", "Reason": "Suspended", "Generation": "", "Message": "the bridge is suspended",
	})
}

func TestStatus_NewBridge_HasObservedGenerationMinusOne(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	if err := server.Client.Create(t.Context(), b, client.DryRunAll); err != nil { // the operator does not see it
		t.Fatal(err)
	}
	if b.Status.ObservedGeneration != -1 {
		t.Errorf("observedGeneration is %d", b.Status.ObservedGeneration)
	}
}
