// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// endless are the commands that a user ends.
var endless = regexp.MustCompile(`--watch|--follow| dashboard `)

// A page runs the commands of the documentation in a directory, with kubectl and the plugin.
type page struct {
	t   *testing.T
	dir string
	env []string
}

// run runs a line, and ends it after some seconds if it is endless.
func (p *page) run(line string) (string, error) {
	limit := time.Minute
	if endless.MatchString(line) {
		limit = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", "exec "+line)
	if strings.ContainsAny(line, ">") || !strings.HasPrefix(line, "kubectl ") {
		cmd.Args[3] = line
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.Dir, cmd.Env = p.dir, p.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if endless.MatchString(line) && out.Len() > 0 && ctx.Err() != nil {
		err = nil
	}
	return out.String(), err
}

func TestDocs_CommandsOfThePage_Work(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "kubectl-plugin.md"))
	if err != nil {
		t.Fatal(err)
	}
	apiserver.Need(t, server)
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plant"}})
	s := newSiteIn(t, "plant")
	s.kubelet.setLog(s.pod, "a line\n")
	event(t, "plant", "MQTTBridge", bridgeName, "FailedOver", "from cloud-a to cloud-b", 0)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, dir: t.TempDir()}
	b := manifestOf("plant", bridgeName, "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
	b.APIVersion, b.Kind = "mqttbridge.io/v1alpha1", "MQTTBridge"
	manifest, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"bridge.yaml": string(manifest),
		"nanomq.conf": "bridges.mqtt.a {\n  server = \"mqtt-tcp://cloud.example:1883\"\n  forwards = [{remote_topic = \"\", local_topic = \"a/#\"}]\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+bin+":"+filepath.Dir(server.Tool("kubectl"))+":"+os.Getenv("PATH"))
	install := &page{t, root, append(slices.Clone(os.Environ()), "HOME="+p.dir, "GOPATH="+goEnv(t, "GOPATH"), "GOCACHE="+goEnv(t, "GOCACHE"))}
	lines := 0
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)\n```$").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			runner := p
			if !strings.HasPrefix(line, "kubectl ") {
				runner = install
			}
			out, err := runner.run(line)
			if strings.Contains(line, " hand-over ") { // the bridge has one runner
				if !strings.Contains(out, "has one runner") {
					t.Errorf("%s: %s", line, out)
				}
			} else if err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
			lines++
		}
	}
	if lines < 20 {
		t.Errorf("the page has only %d commands", lines)
	}
	for _, file := range []string{"bundle.tar.gz", "bridges.yaml", ".local/bin/kubectl-mqttbridge", ".local/bin/kubectl_complete-mqttbridge"} {
		if info, err := os.Stat(filepath.Join(p.dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// goEnv returns a directory of the go command, which depends on HOME.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// The page describes each command, and the README names the page.
func TestDocs_EachCommand_IsDescribed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "kubectl-plugin.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := &program{}
	p.flags = newFlags()
	for _, cmd := range p.root().Commands() {
		if !strings.Contains(string(text), "kubectl mqttbridge "+cmd.Name()) {
			t.Errorf("docs/kubectl-plugin.md does not show the command %s", cmd.Name())
		}
		for _, part := range []string{cmd.Short, cmd.Long} {
			if part == "" {
				t.Errorf("the command %s has no description", cmd.Name())
			}
		}
	}
}
