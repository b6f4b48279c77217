// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// kubectlWait returns a command that waits for a condition of the bridge, as the documentation
// shows it.
func kubectlWait(t *testing.T, b *v1alpha1.MQTTBridge, condition, timeout string) *exec.Cmd {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, server.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), server.Tool("kubectl"), "--kubeconfig="+kubeconfig, "--namespace="+b.Namespace,
		"wait", "--for=condition="+condition, "mqttbridge/"+b.Name, "--timeout="+timeout)
}

// wantWaiting fails the test if kubectl finds the condition within a second.
func wantWaiting(t *testing.T, b *v1alpha1.MQTTBridge, condition, state string) {
	t.Helper()
	out, err := kubectlWait(t, b, condition, "1s").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "timed out waiting for the condition") {
		t.Errorf("%s: kubectl wait for %s ends with %v, want it to wait: %s", state, condition, err, out)
	}
}

// startWaiting starts kubectl wait. The returned function fails the test if kubectl does not
// find the condition.
func startWaiting(t *testing.T, b *v1alpha1.MQTTBridge, condition string) (found func()) {
	t.Helper()
	cmd := kubectlWait(t, b, condition, apiserver.Timeout.String())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		want := fmt.Sprintf("mqttbridge.mqttbridge.io/%s condition met\n", b.Name)
		if err := cmd.Wait(); err != nil || out.String() != want {
			t.Errorf("kubectl wait for %s ends with %v: %s", condition, err, out.String())
		}
	}
}

func TestKubectlWait_Ready_WaitsUntilTheLatestGenerationForwards(t *testing.T) {
	b, pod := forwardingBridge(t)
	startWaiting(t, b, v1alpha1.ConditionReady)()
	b = prefer(t, b, &v1alpha1.PreferredServer{Name: "b"})
	wantWaiting(t, b, v1alpha1.ConditionReady, "the earlier generation forwards")
	found := startWaiting(t, b, v1alpha1.ConditionReady)
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary()) // with the generation of b
	found()
	applyReport(t, b, pod.Name, localUp(), remoteDown())
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotConnected)
	wantWaiting(t, b, v1alpha1.ConditionReady, "every server of one side is down")
}

func TestKubectlWait_Suspended_WaitsUntilNoPodIsLeft(t *testing.T) {
	b, pod := forwardingBridge(t)
	b = suspend(t, b, true)
	awaitReplicas(t, b, 0)
	completeRollout(t, b)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDraining)
	wantWaiting(t, b, v1alpha1.ConditionSuspended, "the runner drains")
	found := startWaiting(t, b, v1alpha1.ConditionSuspended)
	if err := server.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	found()
	wantWaiting(t, b, v1alpha1.ConditionReady, "suspended")
}
