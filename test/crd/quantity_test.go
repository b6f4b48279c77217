// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The comparison of such a quantity computes each of its digits. A user who may create bridges could keep the API server
// busy.
func TestCRD_QuantityThatCannotBeEvaluated_IsRefusedAtOnce(t *testing.T) {
	const manifest = `
apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: b}
spec:
  local: {primary: {url: "mqtt://local"}}
  remote: {primary: {url: "mqtt://remote"}}
  localToRemote: [{filter: "a/#"}]
`
	for _, quantity := range []string{"1e100000000", "1E+1000000000", "1e-100000000", "12345678901234567890e100000000", strings.Repeat("1", 65)} {
		for _, path := range []string{"buffer.disk.size", "buffer.memory.size", "buffer.drain.bytesPerSecond", "remote.maximumPacketSize"} {
			u := parse(t, manifest)
			if err := unstructured.SetNestedField(u.Object, quantity, append([]string{"spec"}, strings.Split(path, ".")...)...); err != nil {
				t.Fatal(err)
			}
			err := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				return apiserver.Need(t, server).Client.Create(ctx, u, client.DryRunAll)
			}()
			if !apierrors.IsInvalid(err) || !strings.Contains(fmt.Sprint(err), "must be from") {
				t.Fatalf("%s: %s: %.300v", path, quantity, err) // the API server may still be busy
			}
		}
	}
}
