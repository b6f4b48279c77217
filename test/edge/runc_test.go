// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// image makes the root file system of the image: the files that the last stage of the Dockerfile has, and no
// shell. The base image adds the certificates of authorities.
func image(t *testing.T) string {
	t.Helper()
	dockerfile := read(t, "Dockerfile")
	_, last, ok := strings.Cut(dockerfile, "FROM gcr.io/distroless/static:nonroot")
	if !ok || !strings.Contains(dockerfile, "CGO_ENABLED=0") || !strings.Contains(last, "COPY --from=build /out/manager /out/bridge-runner /") {
		t.Fatalf("this test knows another last stage of the Dockerfile:\n%s", last)
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755)) // the user of the container must reach it
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", dir, "./bridge-runner")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0") // as in the Dockerfile
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the runner: %v\n%s", err, out)
	}
	return dir
}

// bundle writes a bundle for runc with the settings of a container. The container shares the network of the
// machine, so that it reaches the brokers.
func bundle(t *testing.T, c *container, rootfs string, replace *strings.Replacer) string {
	t.Helper()
	var user, group int
	if _, err := fmt.Sscanf(c.user, "%d:%d", &user, &group); err != nil {
		t.Fatalf("the user %q is not numeric: %v", c.user, err)
	}
	if !slices.Equal(c.dropped, []string{"ALL"}) || !slices.Equal(c.security, []string{"no-new-privileges:true"}) {
		t.Fatalf("this test knows other settings: %+v", c)
	}
	arguments := append([]string{c.entrypoint}, c.arguments...)
	for i := range arguments {
		arguments[i] = replace.Replace(arguments[i])
	}
	mounts := []map[string]any{
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
		{"destination": "/etc/hosts", "type": "bind", "source": "/etc/hosts", "options": []string{"bind", "ro"}},
	}
	for _, v := range c.volumes {
		options := []string{"rbind", "rw"}
		if v.readOnly {
			options[1] = "ro"
		}
		mounts = append(mounts, map[string]any{"destination": v.target, "type": "bind", "source": replace.Replace(v.source), "options": options})
	}
	var namespaces []map[string]string
	for _, n := range []string{"pid", "mount", "ipc", "uts"} {
		namespaces = append(namespaces, map[string]string{"type": n})
	}
	config, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2",
		"process": map[string]any{
			"args": arguments, "cwd": "/", "user": map[string]int{"uid": user, "gid": group}, "noNewPrivileges": true,
			"capabilities": map[string]any{},
		},
		"root":   map[string]any{"path": rootfs, "readonly": c.readOnly},
		"mounts": mounts,
		"linux":  map[string]any{"namespaces": namespaces},
	})
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600))
	return dir
}

// The container runs with a read-only file system as a user that is not root, reads the mounted files, writes
// its buffer, and drains when it is stopped.
func TestEdgePage_Container_ForwardsAndDrains(t *testing.T) {
	c := dockerRun(t)
	page := read(t, "docs/guides/edge.md")
	host, listen := t.TempDir(), mqtttest.FreeAddress(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", Persistence: true})

	// The directories of the page are in a directory of the test. In the container they have their names.
	directories, _, _ := strings.Cut(block(t, page, "sh", "docker run"), "docker run")
	must(t, os.Chmod(filepath.Dir(host), 0o755)) // the user of the container must reach it
	must(t, os.Chmod(host, 0o755))
	must(t, os.MkdirAll(filepath.Join(host, "etc"), 0o755))
	must(t, os.MkdirAll(filepath.Join(host, "var", "lib"), 0o755))
	script := strings.ReplaceAll(strings.ReplaceAll(directories, "/etc/mqttbridge", host+"/etc/mqttbridge"), "/var/lib", host+"/var/lib")
	manifest := bridge(local.URL(), remote.URL()) + "  buffer: {disk: {size: 1Gi}}\n"
	must(t, os.WriteFile(filepath.Join(host, "bridge.yaml"), []byte(manifest), 0o600))
	script += "cd " + host + "\n" +
		"install -d -g 65532 -m 0750 etc/mqttbridge/secrets/default etc/mqttbridge/secrets/default/login\n" +
		"printf plant1 > username && install -g 65532 -m 0640 username etc/mqttbridge/secrets/default/login/username\n" +
		"install -g 65532 -m 0640 bridge.yaml etc/mqttbridge/bridges/plant.yaml\n"
	if out, err := exec.CommandContext(t.Context(), "sh", "-euc", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	volumes := slices.Clone(c.volumes)
	for i := range volumes {
		volumes[i].source = host + volumes[i].source
	}
	c.volumes = volumes
	const id = "mqttbridge-edge-test"
	dir := bundle(t, c, image(t), strings.NewReplacer("--listen=:8080", "--listen="+listen))
	run := exec.CommandContext(t.Context(), "runc", "run", "--bundle", dir, id)
	var output bytes.Buffer
	run.Stdout, run.Stderr = &output, &output
	must(t, run.Start())
	t.Cleanup(func() {
		_ = exec.Command("runc", "delete", "--force", id).Run()
		if t.Failed() {
			t.Logf("the container:\n%s", &output)
		}
	})

	here, there := mqtttest.StartClient5(t, local, "here"), mqtttest.StartClient5(t, remote, "there")
	there.Subscribe("sensors/#")
	waitForwarding(t, listen)
	publish := func() { here.Publish(&paho.Publish{Topic: "sensors/x", QoS: 1, Payload: []byte("x")}) }
	publish()
	there.Wait("sensors/x", 1, eventTimeout)

	remote.Stop()
	publish()
	mqtttest.Eventually(t, eventTimeout, "the message is on the disk", func() error {
		found, err := filepath.Glob(host + "/var/lib/mqttbridge/default/plant/localToRemote/*.log")
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("no file in %s", host)
		}
		return err
	})
	remote.Start()
	again := mqtttest.StartClient5(t, remote, "again")
	again.Subscribe("sensors/#")
	waitForwarding(t, listen)

	if out, err := exec.CommandContext(t.Context(), "runc", "kill", id, "TERM").CombinedOutput(); err != nil {
		t.Fatalf("runc kill: %v\n%s", err, out)
	}
	if err := run.Wait(); err != nil {
		t.Errorf("the container ends with %v, want the exit code 0", err)
	}
}

// waitForwarding waits until /status of the process says that its bridge forwards.
func waitForwarding(t *testing.T, listen string) {
	t.Helper()
	mqtttest.Eventually(t, eventTimeout, "the bridge forwards", func() error {
		response, err := http.Get("http://" + listen + "/status")
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err == nil && !bytes.Contains(body, []byte("Forwarding")) {
			err = fmt.Errorf("%s", body)
		}
		return err
	})
}
