// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// guideSkipped are the commands of the guide that do not run here, by their start, with the reason.
var guideSkipped = map[string]string{
	"kind create":                "the cluster of the tests is used",
	"git clone":                  "the checkout of the tests is used",
	"cd mqttbridge-operator":     "the checkout of the tests is used",
	"helm install":               "TestMain installs the same chart with the image of the checkout",
	"kubectl create namespace":   "the test creates a namespace with another name",
	"kubectl config set-context": "the test makes a kubeconfig of its own, for its namespace",
	"kubectl delete namespace":   "the test removes its namespace",
	"helm uninstall":             "TestMain uninstalls the chart",
	"kubectl delete crd":         "other tests use the CRD at the same time",
}

const guideTimeout = 5 * time.Minute

// guide returns the manifest and the scripts of a page, without the skipped commands.
func guide(t *testing.T, page string) (manifest string, scripts []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared.Root, "docs", "guides", page))
	must(t, err)
	used := map[string]bool{}
	for _, m := range regexp.MustCompile("(?ms)^```(sh|yaml)\n(.*?\n)```$").FindAllStringSubmatch(string(data), -1) {
		if m[1] == "yaml" {
			manifest += m[2]
			continue
		}
		var kept []string
		for line := range strings.Lines(m[2]) {
			skip := false
			for start := range guideSkipped {
				if strings.HasPrefix(line, start) {
					used[start], skip = true, true
				}
			}
			if !skip {
				kept = append(kept, line)
			}
		}
		scripts = append(scripts, strings.Join(kept, ""))
	}
	for start := range guideSkipped {
		if !used[start] {
			t.Errorf("%s has no command %q any more; remove it from the skipped commands", page, start)
		}
	}
	return manifest, scripts
}

// guideEnv returns the environment of the guide's commands: kubectl of the cluster, with the namespace as
// its default.
func guideEnv(t *testing.T, dir, namespace string) []string {
	t.Helper()
	config, err := shared.Kubectl(t.Context(), "config", "view", "--raw", "--minify", "--flatten")
	must(t, err)
	path := filepath.Join(dir, "kubeconfig")
	must(t, os.WriteFile(path, []byte(config), 0o600))
	kubectl := shared.KubectlCommand(t.Context()).Path
	env := append(os.Environ(), "KUBECONFIG="+path, "PATH="+filepath.Dir(kubectl)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd := exec.CommandContext(t.Context(), kubectl, "config", "set-context", "--current", "--namespace="+namespace)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl config set-context: %v\n%s", err, out)
	}
	return env
}

func TestGuide_InTenMinutes_ShowsFailover(t *testing.T) {
	t.Parallel()
	const image = "eclipse-mosquitto:2.0.22"
	manifest, scripts := guide(t, "in-ten-minutes.md")
	namespace, err := shared.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-guide-"}}, metav1.CreateOptions{})
	must(t, err)
	w := &world{t: t, namespace: namespace.Name}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain()
		}
		_ = shared.Client.CoreV1().Namespaces().Delete(context.Background(), namespace.Name, metav1.DeleteOptions{})
	})
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "bridge.yaml"), []byte(manifest), 0o600))
	env := guideEnv(t, dir, namespace.Name)
	var output strings.Builder
	images := 0
	for _, script := range scripts {
		images += strings.Count(script, image)
		ctx, cancel := context.WithTimeout(t.Context(), guideTimeout)
		cmd := exec.CommandContext(ctx, "bash", "-e", "-u", "-o", "pipefail", "-c", strings.ReplaceAll(script, image, brokerImage))
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		cancel()
		output.Write(out)
		if err != nil {
			t.Fatalf("%s\n%v\n%s", script, err, out)
		}
	}
	if images == 0 {
		t.Errorf("the page does not use the image %s", image)
	}
	for _, want := range []string{
		"plant1/sensors/t1 21.5 degrees\n", "plant1/sensors/t1 22.0 degrees\n", "plant1/sensors/t1 23.5 degrees\n",
		"FailedOver", "cloud-2", "Backup",
	} {
		if !strings.Contains(output.String(), want) {
			t.Errorf("the commands of the page do not print %q:\n%s", want, output.String())
		}
	}
}
