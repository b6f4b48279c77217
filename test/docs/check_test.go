// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// blocks returns the code blocks of a language in a page.
func blocks(page, language string) (all []string) {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		all = append(all, m[1])
	}
	return all
}

// checkPage runs the commands of docs/check.md in a directory that has the files of the page, with two
// brokers in place of the servers of its manifest.
type checkPage struct {
	t    *testing.T
	dir  string
	urls *strings.Replacer // from the URLs of the brokers to the URLs of the page
}

func newCheckPage(t *testing.T, page string) *checkPage {
	t.Helper()
	pki := mqtttest.NewPKI(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", TLS: pki.Server(), Users: map[string]string{"plant1": "secret"}})
	p := &checkPage{t: t, dir: t.TempDir()}
	p.urls = strings.NewReplacer(local.URL(), "mqtt://plant.example:1883", remote.URL(), "mqtts://cloud.example:8883")
	manifest := strings.NewReplacer("mqtt://plant.example:1883", local.URL(), "mqtts://cloud.example:8883", remote.URL()).Replace(blocks(page, "yaml")[0])
	p.write("bridge.yaml", manifest)
	p.write("secrets/cloud-login/password", "secret\n")
	p.write("secrets/configMaps/cloud-ca/ca.crt", string(pki.CA))
	if err := os.Mkdir(filepath.Join(p.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mqtttest.RunnerBinary(t), filepath.Join(p.dir, "bin", "bridge-runner")); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *checkPage) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// run runs a script of the page, and returns its output with the URLs of the page.
func (p *checkPage) run(script string) (string, error) {
	cmd := exec.CommandContext(p.t.Context(), "sh", "-e", "-c", script)
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	return p.urls.Replace(string(out)), err
}

// labels is the width of the labels in the report of a check. The values after them differ between servers.
const labels = 13

// withoutValues removes the values of labels.
func withoutValues(report string) string {
	var b strings.Builder
	for line := range strings.Lines(report) {
		if strings.HasPrefix(line, "  ") && len(line) > labels {
			line = line[:labels] + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

func TestCheckPage_Commands_PrintShownOutput(t *testing.T) {
	page := read(t, "docs/check.md")
	p := newCheckPage(t, page)
	scripts, sessions := blocks(page, "sh"), blocks(page, "console")
	if len(scripts) < 5 || len(sessions) < 3 {
		t.Fatalf("the page has %d scripts and %d sessions", len(scripts), len(sessions))
	}
	for _, script := range scripts {
		if out, err := p.run(script); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	for _, session := range sessions {
		command, want, _ := strings.Cut(strings.TrimPrefix(session, "$ "), "\n")
		got, _ := p.run(command) // the command for an invalid manifest fails
		if strings.Contains(command, "--connect") {
			got, want = withoutValues(got), withoutValues(want)
		}
		if got != want {
			t.Errorf("%s prints\n%s\nand the page shows\n%s", command, got, want)
		}
	}
}
