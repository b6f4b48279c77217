// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func TestSuspend_SetAndCleared_RemovesPodAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	w.stream()
	w.kubectl("patch", "mqb", bridgeName, "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	w.kubectl("wait", "--for=condition=Suspended", "mqttbridge/"+bridgeName, "--timeout=60s")
	w.kubectl("wait", "pod", "--for=delete", "--selector=app.kubernetes.io/instance="+bridgeName, "--timeout=60s")
	w.kubectl("patch", "mqb", bridgeName, "--type=merge", "-p", `{"spec":{"suspend":false}}`)
	w.kubectl("wait", "mqttbridge/"+bridgeName, "--for=condition=Ready", "--timeout=60s")
	w.flow(200)
	w.finish()
}

func TestBridge_Deleted_LeavesNoObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	w.kubectl("delete", "mqb", bridgeName)
	w.eventually(eventTimeout, func() error {
		left := w.kubectl("get", "deployments,pods,configmaps,serviceaccounts,roles,rolebindings", "-l", "app.kubernetes.io/instance="+bridgeName, "-o", "name")
		if left != "" {
			return fmt.Errorf("objects remain: %s", left)
		}
		return nil
	})
}

func TestBridge_DeletedWithDrain_DeliversAllAndLeavesNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	drain := v1alpha1.DeletionDrain
	w.bridge.Spec.DeletionPolicy = &drain
	w.ready()
	w.stream()
	client := w.get().Status.Local.ClientID
	w.kubectl("patch", "mqb", bridgeName, "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	w.kubectl("wait", "--for=condition=Suspended", "mqttbridge/"+bridgeName, "--timeout=60s")
	must(t, w.publisher.StopAndDrain(eventTimeout)) // the messages of this time wait at the local broker
	w.kubectl("delete", "mqb", bridgeName, "--timeout=120s")
	must(t, w.collector.WaitAll(w.publisher.Ledger(), eventTimeout))
	present, err := traffic.HasSession(t.Context(), w.local.Dial, client)
	must(t, err)
	if present {
		t.Errorf("the local broker still holds the session of %s", client)
	}
}

// The first line of each manifest contains the expected error: "# error: FIELD: PART OF THE
// MESSAGE".
func TestManifests_Invalid_AreRejectedByKubectlApply(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../manifests/invalid/*.yaml")
	must(t, err)
	if len(paths) == 0 {
		t.Fatal("test/manifests/invalid holds no manifests")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			must(t, err)
			first, _, _ := strings.Cut(string(data), "\n")
			field, message, _ := strings.Cut(strings.TrimPrefix(first, "# error: "), ": ")
			_, err = shared.Kubectl(t.Context(), "apply", "-f", path, "--dry-run=server", "-n", "default")
			if err == nil {
				t.Fatal("the API server accepted the manifest")
			}
			for _, want := range []string{field, strings.TrimSpace(message)} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error of kubectl does not contain %q: %v", want, err)
				}
			}
		})
	}
}
