// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package guides

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// skipped are the commands that do not run here. Each has a reason. The key is the page and the start of the
// command.
var skipped = map[[2]string]string{
	{"your-broker.md", "bin/bridge-runner --bridge"}: "it runs until it is stopped; test/runner starts the runner with these flags",
	{"moving.md", "kubectl wait"}:                    "no operator runs here; TestGuide in test/e2e waits for Ready on a node",
	{"moving.md", "systemctl restart mosquitto"}:     "the test restarts the broker, which is no service of the machine",
}

// commandTimeout is the longest duration of a script.
const commandTimeout = time.Minute

// shell runs the commands of a page.
type shell struct {
	t      *testing.T
	page   string
	blocks []block
	dir    string
	env    []string
	// replace maps words of the page, such as names of servers, to their values in the test.
	replace *strings.Replacer
	used    map[[2]string]bool // the entries of skipped that were found
}

// newShell creates the directory of a page, with a namespace of its own for kubectl. The words of pairs are
// replaced in commands and files, as by [strings.NewReplacer].
func newShell(t *testing.T, page string, pairs ...string) *shell {
	t.Helper()
	s := &shell{t: t, page: page, blocks: readPage(t, "guides/"+page), dir: t.TempDir(), used: map[[2]string]bool{}, replace: strings.NewReplacer(pairs...)}
	api := apiserver.Need(t, server)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "guide-"}}
	if err := api.Client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	s.write("kubeconfig", string(api.Kubeconfig()))
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mqtttest.RunnerBinary(t), filepath.Join(s.dir, "bin", "bridge-runner")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Dir(api.Tool("kubectl")) + string(os.PathListSeparator) + os.Getenv("PATH")
	s.env = append(os.Environ(), "PATH="+path, "KUBECONFIG="+filepath.Join(s.dir, "kubeconfig"))
	s.sh("kubectl config set-context --current --namespace=" + namespace.Name)
	return s
}

func (s *shell) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// writeFiles writes the files of the page.
func (s *shell) writeFiles() {
	s.t.Helper()
	for _, b := range s.blocks {
		if name := b.file(); name != "" {
			s.write(name, s.replace.Replace(b.text))
		}
	}
}

// sh runs a script, and returns its output. The test fails if a command fails.
func (s *shell) sh(script string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-u", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s\n%s", s.page, err, script, out)
	}
	return string(out)
}

// run runs the scripts of the page from the number first on, and before the number end.
func (s *shell) run(first, end int) (output string) {
	s.t.Helper()
	all := scripts(s.blocks)
	if end > len(all) {
		s.t.Fatalf("%s has %d scripts, want at least %d", s.page, len(all), end)
	}
	for _, b := range all[first:end] {
		output += s.sh(s.replace.Replace(s.withoutSkipped(b.text)))
	}
	return output
}

// withoutSkipped removes the commands that do not run here.
func (s *shell) withoutSkipped(script string) string {
	var kept []string
	for _, command := range commands(script) {
		skip := false
		for key := range skipped {
			if key[0] == s.page && strings.HasPrefix(command, key[1]) {
				s.used[key], skip = true, true
			}
		}
		if !skip {
			kept = append(kept, command)
		}
	}
	return strings.Join(kept, "\n")
}

// count returns the number of scripts of the page.
func (s *shell) count() int { return len(scripts(s.blocks)) }

// finish checks that the page has each command that is skipped for it.
func (s *shell) finish() {
	s.t.Helper()
	for key := range skipped {
		if key[0] == s.page && !s.used[key] {
			s.t.Errorf("%s has no command %q any more; remove it from the skipped commands", s.page, key[1])
		}
	}
}
