// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The page's commands for Helm run one after the other, without waiting for pods, because no node runs
// them here. The end-to-end tests run `helm test`.
func TestInstallationPage_HelmCommands_Work(t *testing.T) {
	i := newInstallation(t)
	if i.crdExists() { // of the other tests, and not of a release
		i.mustRun(i.kubectl + " delete crd mqttbridges.mqttbridge.io")
	}
	t.Cleanup(func() {
		i.mustRun(i.kubectl + " delete crd mqttbridges.mqttbridge.io")
		_ = server.Client.Delete(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})
		if err := finalizeNamespace(context.Background(), operatorNamespace); err != nil {
			t.Error(err)
		}
	})
	page, err := os.ReadFile(filepath.Join(apiserver.Root(), "docs", "installation.md"))
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "helm" || words[1] == "test" {
			continue
		}
		i.mustRun(pinned("helm") + " --kubeconfig=" + i.kubeconfig + strings.TrimPrefix(strings.ReplaceAll(line, " --wait", ""), "helm"))
		ran = append(ran, words[1])
		if words[1] == "uninstall" && !i.crdExists() {
			t.Error("helm uninstall has removed the CRD")
		}
	}
	if got := strings.Join(ran, " "); got != "install upgrade rollback uninstall" {
		t.Errorf("the page has the commands %q", got)
	}
}

// The chart accepts the values on the page, and its Deployment has only fields that Kubernetes knows.
func TestInstallationPage_Values_AreAccepted(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(apiserver.Root(), "docs", "installation.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if strings.HasPrefix(text, "# kustomization.yaml\n") {
			continue
		}
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		pod := only[appsv1.Deployment](t, helmed(t, "--values="+file), "Deployment").Spec.Template.Spec
		if strings.Contains(text, "hostAliases") && (pod.DNSPolicy != corev1.DNSDefault || len(pod.HostAliases) != 1) {
			t.Errorf("the operator's pod has the DNS policy %q and the host names %v", pod.DNSPolicy, pod.HostAliases)
		}
	}
	if len(blocks) < 3 {
		t.Errorf("the page has only %d blocks of values", len(blocks))
	}
}
