// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// The commands for Mosquitto of docs/guides/deletion.md remove the rest of a bridge that was deleted with
// Keep. Another test runs the commands for kubectl.
func TestDeletionPage_MosquittoCommands_RemoveTheRemains(t *testing.T) {
	const topic, waitTime = "bridges/plant1/state", "-W 5"
	t.Parallel()
	page, err := os.ReadFile("../../docs/guides/deletion.md")
	must(t, err)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	bridge := manifest("plant-to-cloud", local.URL(), remote.URL())
	bridge.Spec.LocalToRemote[0].Filter = "sensors/#"
	bridge.Spec.Notifications = &v1alpha1.Notifications{Topic: topic}
	id := bridge.WithDefaults().Spec.Local.ClientID
	r := mqtttest.StartRunner(t, bridge)
	r.WaitActive("primary", eventTimeout)
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
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(page, -1) {
			script := string(block[1])
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
	saved, err := os.ReadFile(filepath.Join(dir, "messages.txt"))
	must(t, err)
	if got := string(saved); got != "sensors/x 1\nsensors/x 2\nsensors/x 3\n" {
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
	late.Wait("mark", 1, eventTimeout)
	if got := late.Received(topic); len(got) > 0 {
		t.Errorf("the broker still has the notification %q", got[0].Payload)
	}
}
