// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// chartDir is the directory of the chart, and overlay has the rules and dashboards of its unit tests.
var (
	chartDir = filepath.Join(apiserver.Root(), "charts", "mqttbridge-operator")
	overlay  = filepath.Join(apiserver.Root(), "test", "install", "testdata", "chart")
)

// The unit tests of the chart run with rules and dashboards of their own, because the project's
// rules and dashboards are generated.
func TestChart_UnitTests_Pass(t *testing.T) {
	chart := filepath.Join(t.TempDir(), "mqttbridge-operator")
	for _, from := range []string{chartDir, overlay} {
		if out, err := exec.CommandContext(t.Context(), "cp", "-R", from+"/.", chart).CombinedOutput(); err != nil {
			t.Fatalf("copying %s: %v\n%s", from, err, out)
		}
	}
	modfile := filepath.Join(apiserver.Root(), "hack", "tools", "helm", "go.mod")
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile="+modfile, "helm-unittest", chart)
	cmd.Dir = apiserver.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("helm-unittest: %v\n%s", err, out)
	}
}

func TestChart_Lint_FindsNothing(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "bash", "-c", pinned("helm")+" lint --strict charts/mqttbridge-operator")
	cmd.Dir = apiserver.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("helm lint: %v\n%s", err, out)
	}
}

// setKeys adds the paths that a test sets. The keys of set may contain dots.
func setKeys(path string, value any, into map[string]bool) {
	mapping, ok := value.(map[string]any)
	if !ok || len(mapping) == 0 {
		into[path] = true
		return
	}
	for key, v := range mapping {
		setKeys(strings.TrimPrefix(path+"."+key, "."), v, into)
	}
}

// valueKeys returns the paths of the values of the chart: the keys that have a description.
func valueKeys(path string, group *yaml.Node) (keys []string) {
	for i := 0; i+1 < len(group.Content); i += 2 {
		key := strings.TrimPrefix(path+"."+group.Content[i].Value, ".")
		if strings.Contains(group.Content[i].HeadComment, "# -- ") {
			keys = append(keys, key)
		} else {
			keys = append(keys, valueKeys(key, group.Content[i+1])...)
		}
	}
	return keys
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestChart_UnitTests_SetEveryValue(t *testing.T) {
	var values yaml.Node
	readYAML(t, filepath.Join(chartDir, "values.yaml"), &values)
	keys := valueKeys("", values.Content[0])
	if len(keys) < 80 {
		t.Fatalf("values.yaml has only %d values with a description", len(keys))
	}
	set := map[string]bool{}
	for _, dir := range []string{chartDir, overlay} {
		suites, err := filepath.Glob(filepath.Join(dir, "tests", "*_test.yaml"))
		if err != nil || len(suites) == 0 {
			t.Fatalf("%s has no unit tests: %v", dir, err)
		}
		for _, suite := range suites {
			var content struct {
				Tests []struct {
					Set map[string]any `yaml:"set"`
				} `yaml:"tests"`
			}
			readYAML(t, suite, &content)
			for _, test := range content.Tests {
				setKeys("", test.Set, set)
			}
		}
	}
	for _, key := range keys {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(set)), func(s string) bool { return s == key || strings.HasPrefix(s, key+".") }) {
			t.Errorf("no unit test of the chart sets %s", key)
		}
	}
}

// freeForm are the values whose fields belong to Kubernetes, to Prometheus or to the user. The
// fields of global also belong to charts that depend on this chart.
var freeForm = []string{
	"global", "extraEnv", "extraObjects", "resources", "podSecurityContext", "securityContext", "tolerations", "affinity", "topologySpreadConstraints", "strategy", "podSpecExtra",
	"serviceMonitor.authorization", "serviceMonitor.relabelings", "serviceMonitor.metricRelabelings", "podMonitor.relabelings", "podMonitor.metricRelabelings",
	"networkPolicy.metricsFrom", "networkPolicy.apiServerTo", "networkPolicy.extraEgress",
}

// checkSchema checks that the objects of a schema, except for those in freeForm, refuse unknown
// fields, and that all properties have descriptions.
func checkSchema(path string, schema map[string]any) (faults []string) {
	if items, ok := schema["items"].(map[string]any); ok {
		faults = append(faults, checkSchema(path, items)...)
	}
	kind := fmt.Sprint(schema["type"])
	if strings.Contains(kind, "object") && schema["additionalProperties"] == nil && !slices.Contains(freeForm, path) {
		faults = append(faults, fmt.Sprintf("%q accepts unknown fields: set additionalProperties to false", path))
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		property, key := p.(map[string]any), strings.TrimPrefix(path+"."+name, ".")
		if property["type"] == nil && property["enum"] == nil {
			faults = append(faults, key+" has no type")
		}
		named := strings.HasPrefix(key, "extraEnv.") || strings.HasSuffix(strings.ToLower(path), "imagepullsecrets") // fields of Kubernetes
		if property["description"] == nil && !named {
			faults = append(faults, key+" has no description: run make chart")
		}
		faults = append(faults, checkSchema(key, property)...)
	}
	return faults
}

func TestChart_Schema_DescribesEveryValueAndRefusesOthers(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	for _, fault := range checkSchema("", schema) {
		t.Error(fault)
	}
	if n := len(schema["properties"].(map[string]any)); n < 30 {
		t.Errorf("the schema has only %d properties", n)
	}
}

// everyArgument are values with which the chart sets each argument of the operator.
var everyArgument = []string{
	"--set=leaderElection.namespace=leases,maxUnavailableBridges=5,updateTimeZone=Europe/Berlin,class=edge,clusterID=berlin",
	`--set-json=updateWindows=[{"schedule":"0 2 * * 6","durationMinutes":240}]`, "--set=watchNamespaces={a,b}",
	"--set=policy.allowedImages={a/},policy.allowedPriorityClasses={b},policy.allowedServiceAccounts={c},policy.allowedSecrets={d-*},policy.allowTolerations=false",
	"--set=log.level=debug,log.format=console,metrics.bridges=false", "--set-json=runner.imagePullSecrets=[{\"name\":\"e\"},{\"name\":\"f\"}]", "--set-json=extraArgs=[\"--zap-stacktrace-level=panic\"]",
}

func TestChart_Arguments_AreAcceptedByTheOperator(t *testing.T) {
	manager := filepath.Join(t.TempDir(), "manager")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", manager, ".")
	build.Dir = apiserver.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the operator: %v\n%s", err, out)
	}
	h := helmed(t, everyArgument...)
	args := only[appsv1.Deployment](t, h, "Deployment").Spec.Template.Spec.Containers[0].Args
	if len(args) < 19 {
		t.Errorf("the chart sets only %q", args)
	}
	for i, arg := range args { // the kubelet replaces it
		args[i] = strings.ReplaceAll(arg, "$(MEMORY_LIMIT)", "268435456")
	}
	if out, err := exec.CommandContext(t.Context(), manager, append(args, "--version")...).CombinedOutput(); err != nil {
		t.Errorf("the operator refuses the arguments of the chart: %v\n%s", err, out)
	}
	check := only[corev1.Pod](t, h, "Pod").Spec.Containers[0].Args
	if out, err := exec.CommandContext(t.Context(), manager, append(check, "-h")...).CombinedOutput(); err != nil || !strings.Contains(string(out), "-metrics-url") {
		t.Errorf("the operator refuses the arguments of the chart's test, %q: %v\n%s", check, err, out)
	}
}

// The API server applies the Pod Security Standard itself.
func TestChart_Pods_PassTheRestrictedPodSecurityStandard(t *testing.T) {
	apiserver.Need(t, server)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "restricted", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	h := helmed(t)
	operator := only[appsv1.Deployment](t, h, "Deployment").Spec.Template.Spec
	for name, spec := range map[string]corev1.PodSpec{"operator": operator, "test": only[corev1.Pod](t, h, "Pod").Spec} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: name}, Spec: spec}
		if err := server.Client.Create(t.Context(), pod, client.DryRunAll); err != nil {
			t.Errorf("the pod of the %s is refused: %v", name, err)
		}
	}
	root := operator
	root.SecurityContext = &corev1.PodSecurityContext{}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "root"}, Spec: root}
	if err := server.Client.Create(t.Context(), pod, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("a pod without a security context: %v; want the refusal of the Pod Security Standard", err)
	}
}
