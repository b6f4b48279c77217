// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// secretTimeout bounds the time until the kubelet updates a new Secret in a running pod: its sync
// period and its cache period, up to a minute each.
const secretTimeout = 3 * time.Minute

// passwords returns a Mosquitto password file with one user.
func passwords(t *testing.T, user, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	must(t, os.WriteFile(path, []byte(user+":"+password+"\n"), 0o600))
	out, err := exec.CommandContext(t.Context(), "mosquitto_passwd", "-U", path).CombinedOutput()
	if err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func TestCredentials_PrimaryRefusesPassword_BackupIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const guardedConfig = "listener 1883\nallow_anonymous false\npassword_file /etc/mosquitto/passwords\nlog_dest stdout\n"
	guarded := w.broker("guarded", guardedConfig, map[string]string{"passwords": passwords(t, "bridge", "secret")})
	w.bridge.Spec.Remote.Primary = v1alpha1.Server{URL: guarded.URL(), Credentials: mqtttest.Login("guarded-login")}
	w.kubectl("create", "secret", "generic", "guarded-login", "--from-literal=username=bridge", "--from-literal=password=wrong")
	w.kubectl("wait", "deployment/guarded", "--for=condition=Available", "--timeout=60s")
	w.ready()
	// The node may forward connections to the broker's Service a second after the broker is available. Until then the
	// primary refuses connections.
	w.condition(v1alpha1.ConditionRemoteConnected, metav1.ConditionTrue, v1alpha1.ReasonConnected,
		w.primaryURLOfBridge(), v1alpha1.ReasonAuthenticationFailed, "guarded-login", w.backup.URL())
	w.stream()
	w.finish()
}

func (w *world) primaryURLOfBridge() string { return w.bridge.Spec.Remote.Primary.URL }

func TestSecret_CreatedLater_IsNamedAndUsedWithoutANewPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bridge.Spec.Remote.Backups = nil
	w.bridge.Spec.Remote.Credentials = mqtttest.Login("late-login")
	w.apply()
	w.condition(v1alpha1.ConditionRemoteConnected, metav1.ConditionFalse, v1alpha1.ReasonReferenceMissing, "late-login")
	pod := w.pod()
	w.kubectl("create", "secret", "generic", "late-login", "--from-literal=username=bridge", "--from-literal=password=secret")
	created := time.Now()
	w.kubectl("wait", "mqttbridge/"+bridgeName, "--for=condition=Ready", "--timeout="+secretTimeout.String())
	t.Logf("the runner used the Secret %s after its creation", time.Since(created).Round(time.Second))
	if now := w.pod(); now.UID != pod.UID || now.Status.ContainerStatuses[0].RestartCount > 0 {
		t.Errorf("pod %s was replaced or restarted, want the running pod to use the Secret", pod.Name)
	}
}
