// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// The commands for Mosquitto of docs/guides/deletion.md remove the rest of a bridge that was deleted with
// Keep. Another test runs the commands for kubectl.
func TestDeletionPage_MosquittoCommands_RemoveTheRemains(t *testing.T) {
	const topic, waitTime = "bridges/plant1/state", "-W 5"
	page := read(t, "docs/guides/deletion.md")
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	bridge := &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: "plant-to-cloud"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: local.URL()}},
			Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: remote.URL()}},
			LocalToRemote: []v1alpha1.Rule{{Filter: "sensors/#"}},
			Notifications: &v1alpha1.Notifications{Topic: topic},
		},
	}
	id := bridge.WithDefaults().Spec.Local.ClientID
	r := mqtttest.StartRunner(t, bridge)
	t.Cleanup(mqtttest.RemoveRunnerBinary)
	const startTimeout = 15 * time.Second
	r.WaitActive("primary", startTimeout)
	if code, _ := r.Terminate(); code != 0 {
		t.Fatalf("the runner ends with code %d", code)
	}
	client := mqtttest.StartClient5(t, local, "device")
	for _, payload := range []string{"1", "2", "3"} {
		client.Publish(&paho.Publish{Topic: "sensors/x", QoS: 1, Payload: []byte(payload)})
	}

	dir := t.TempDir()
	run := func(contains string) {
		t.Helper()
		for _, script := range blocks(page, "sh") {
			if !strings.Contains(script, contains) {
				continue
			}
			script = strings.ReplaceAll(script, "-h plant.example", "-h 127.0.0.1 -p "+local.Address()[strings.LastIndex(local.Address(), ":")+1:])
			script = strings.ReplaceAll(script, waitTime, "-W 2")
			cmd := exec.CommandContext(t.Context(), "sh", "-euc", "kubectl() { :; }\n"+script)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "LOCAL_CLIENT_ID="+id)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", script, err, out)
			}
			return
		}
		t.Fatalf("the page has no commands with %q", contains)
	}
	run("messages.txt")
	if got := readFile(t, filepath.Join(dir, "messages.txt")); got != "sensors/x 1\nsensors/x 2\nsensors/x 3\n" {
		t.Errorf("the commands save %q", got)
	}
	if !local.HasSession(id) {
		t.Error("the session has ended before the page ends it")
	}
	run("ends the session")
	if local.HasSession(id) {
		t.Errorf("the broker still has the session of %s", id)
	}
	late := mqtttest.StartClient5(t, local, "late")
	late.Subscribe("#")
	late.Publish(&paho.Publish{Topic: "mark", QoS: 1, Payload: []byte("x")})
	late.Wait("mark", 1, startTimeout)
	if got := late.Received(topic); len(got) > 0 {
		t.Errorf("the broker still has the notification %q", got[0].Payload)
	}
}
