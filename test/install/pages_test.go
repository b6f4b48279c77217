// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// administratorPages are the pages with commands for kubectl, helm and openssl that no other test runs. test/commands
// has the tests of all pages.
var administratorPages = []string{
	"README.md", "CONTRIBUTING.md", "charts/mqttbridge-operator/README.md",
	"docs/operations.md", "docs/failover.md", "docs/two-runners.md", "docs/labels.md", "docs/monitoring.md",
}

// otherwiseRun are the beginnings of commands on these pages that this test cannot run, with the reason.
var otherwiseRun = map[string]string{
	"make ":                          "hack/try, and test/commands",
	"go ":                            "test/commands checks the command",
	"export KUBEBUILDER_ASSETS":      "test/commands checks the command",
	"eval \"$(go -C hack/cluster":    "it starts the local cluster, as the end-to-end tests do",
	"helm test":                      "TestHelm_Test_FindsTheActiveOperator in test/e2e: no pod runs here",
	"kubectl logs mqttbridge-oper":   "it shows the results of helm test",
	"helm uninstall":                 "TestHelm_Uninstall_KeepsCRDAndBridges",
	"bin/bridge-runner check":        "test/docs runs the command",
	"bin/bridge-runner convert":      "bridge-runner tests the command",
	"bin/bridge-runner --bridge":     "test/edge starts runners",
	"bin/bridge-runner peer-key":     "test/edge runs the command",
	"scp ":                           "the test has one machine",
	"kubectl port-forward":           "TestPage_PortForwardAndProxy_ShowTheState in test/e2e: no pod runs here",
	"kubectl apply -k config/promet": "the CRDs of the Prometheus operator do not exist here; TestMonitoring_Kustomize_SelectsTheInstalledOperator reads its objects",
}

// pageFunctions are the programs of the pages. A field that the API does not have is an error. helm renders
// the chart with the values of the command: TestInstallationPage_HelmCommands_Work installs it.
const pageFunctions = `set -eu
kubectl() { KUBECTL --namespace=pages --warnings-as-errors "$@"; }
helm() { shift; (cd ROOT && HELM template --kube-version=1.37.0 "${@/--reset-then-reuse-values/--no-hooks}" > /dev/null); }
openssl() { case "$1" in pkey|pkcs12) command openssl "$@" -passin pass:secret;; *) command openssl "$@";; esac; }
TOKEN=token SIGNATURE=signature
`

// pageFiles makes the files that the commands of the pages read.
const pageFiles = `set -eu
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=plant -keyout client.key -out client.crt
cp client.crt ca.crt
openssl pkey -in client.key -aes256 -passout pass:secret -out encrypted.key
openssl pkcs12 -export -inkey client.key -in client.crt -passout pass:secret -out client.p12
openssl pkey -in client.key -outform DER -out client.der
openssl x509 -in ca.crt -outform DER -out ca.der
openssl crl2pkcs7 -nocrl -certfile ca.crt -out ca.p7b
`

// pageCommands returns the commands of a page, with their lines joined.
func pageCommands(page *guide) (commands []string) {
	for _, block := range page.blocks("sh") {
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

func TestAdministratorPages_Commands_AreAccepted(t *testing.T) {
	i := newInstallation(t)
	i.installCRD()
	g := &guide{installation: i}
	dir := t.TempDir()
	for _, name := range []string{"charts", "config"} {
		if err := os.Symlink(filepath.Join(apiserver.Root(), name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	readme, err := os.ReadFile(filepath.Join(apiserver.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, manifest, _ := strings.Cut(string(readme), "```yaml\n")
	manifest, _, _ = strings.Cut(manifest, "```")
	if err := os.WriteFile(filepath.Join(dir, "bridge.yaml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	i.mustRun("cd " + dir + "\n" + pageFiles)
	i.mustRun(i.kubectl + " create namespace pages")
	i.mustRun(i.kubectl + " --namespace=pages apply -f " + dir + "/bridge.yaml")
	t.Cleanup(func() { i.mustRun(i.kubectl + " --namespace=pages delete mqttbridges,deployments,pvc --all") })
	b := &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: "pages", Name: "plant-to-cloud"}}
	if !i.exists(b) {
		t.Fatal("the bridge of README.md does not exist")
	}
	b.Status.Runners = []v1alpha1.RunnerStatus{{Pod: "a", Role: v1alpha1.RunnerActive}, {Pod: "b", Role: v1alpha1.RunnerStandby}}
	g.report(b, v1alpha1.ConditionReady)
	labels := map[string]string{"app": "runner"}
	g.create(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "pages", Name: "plant-to-cloud-bridge"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "bridge-runner", Image: "example"}}}},
	}})
	g.create(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "pages", Name: "plant-to-cloud-bridge"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}})

	functions := strings.NewReplacer("KUBECTL", i.kubectl, "ROOT", apiserver.Root(), "HELM", pinned("helm")).Replace(pageFunctions)
	ran, skipped := 0, map[string]bool{}
	for _, page := range administratorPages {
		text, err := os.ReadFile(filepath.Join(apiserver.Root(), page))
		if err != nil {
			t.Fatal(err)
		}
		// The commands of one page change the bridge in a way that another page does not expect.
		i.mustRun(i.kubectl + " --namespace=pages replace -f " + dir + "/bridge.yaml")
		if page == "docs/operations.md" { // it moves the volume of a bridge with a buffer on disk
			i.mustRun(i.kubectl + ` --namespace=pages patch mqttbridge plant-to-cloud --type=merge --patch '{"spec":{"buffer":{"disk":{"size":"1Gi"}}}}'`)
		}
		for _, command := range pageCommands(&guide{i, string(text)}) {
			if start := beginning(command); start != "" {
				skipped[start] = true
				continue
			}
			command = strings.TrimSuffix(command, " -w") // a watch does not end
			if out, err := i.run(functions + "cd " + dir + "\n" + command); err != nil {
				t.Errorf("%s: %s: %v\n%s", page, command, err, out)
			}
			ran++
		}
	}
	if ran < 30 {
		t.Errorf("only %d commands were found", ran)
	}
	for start := range otherwiseRun {
		if !skipped[start] {
			t.Errorf("no page has a command %q any more; remove it from otherwiseRun", start)
		}
	}
}

// beginning returns the beginning in otherwiseRun that a command has.
func beginning(command string) string {
	for start := range otherwiseRun {
		if strings.HasPrefix(command, start) {
			return start
		}
	}
	return ""
}
