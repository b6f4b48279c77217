// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install checks that kustomize and Helm install the same operator.
package install

import (
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/mqttbridge/mqttbridge-operator/controllers"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// tool runs a tool that hack/tools pins and returns the objects that it prints.
func tool(t *testing.T, name string, args ...string) []unstructured.Unstructured {
	t.Helper()
	modfile := filepath.Join(apiserver.Root(), "hack", "tools", name, "go.mod")
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "-modfile=" + modfile, name}, args...)...)
	cmd.Dir = apiserver.Root()
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", name, err, exit.Stderr)
		}
		t.Fatalf("%s: %v", name, err)
	}
	var objects []unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(string(out)), 4096)
	for {
		u := unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s did not print YAML: %v", name, err)
		}
		if len(u.Object) > 0 {
			objects = append(objects, u)
		}
	}
}

func kustomized(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	return tool(t, "kustomize", "build", "config/default")
}

func helmed(t *testing.T, args ...string) []unstructured.Unstructured {
	t.Helper()
	return tool(t, "helm", append([]string{
		"template", "mqttbridge-operator", "charts/mqttbridge-operator",
		"--namespace=mqttbridge-system", "--kube-version=1.37.0", "--set=image.tag=latest",
	}, args...)...)
}

// decode returns the objects of a kind, by name.
func decode[T any](t *testing.T, objects []unstructured.Unstructured, kind string) map[string]T {
	t.Helper()
	out := map[string]T{}
	for i := range objects {
		if objects[i].GetKind() != kind {
			continue
		}
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[i].Object, &typed, true); err != nil {
			t.Fatalf("%s %s: %v", kind, objects[i].GetName(), err)
		}
		out[objects[i].GetName()] = typed
	}
	return out
}

func only[T any](t *testing.T, objects []unstructured.Unstructured, kind string) T {
	t.Helper()
	all := decode[T](t, objects, kind)
	if len(all) != 1 {
		t.Fatalf("%d objects of kind %s; want 1", len(all), kind)
	}
	for _, o := range all {
		return o
	}
	panic("unreachable")
}

// The operator must know its memory limit, also if it is changed by a value of the chart.
func TestInstall_MemoryLimit_IsPassedToTheOperator(t *testing.T) {
	for name, objects := range map[string][]unstructured.Unstructured{
		"kustomize": kustomized(t), "Helm": helmed(t, "--set=resources.limits.memory=1Gi"),
	} {
		c := only[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec.Containers[0]
		if !slices.Contains(c.Args, "--memory-limit=$(MEMORY_LIMIT)") || len(c.Env) != 1 || c.Env[0].Name != "MEMORY_LIMIT" ||
			c.Env[0].ValueFrom.ResourceFieldRef.Resource != "limits.memory" {
			t.Errorf("%s: the operator does not get its memory limit: arguments %v, environment %+v", name, c.Args, c.Env)
		}
		if c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: the operator has no memory limit", name)
		}
	}
}

func TestChart_CRD_IsKeptByHelmUninstall(t *testing.T) {
	h := only[map[string]any](t, helmed(t), "CustomResourceDefinition")
	annotations, _, _ := unstructured.NestedStringMap(h, "metadata", "annotations")
	if annotations["helm.sh/resource-policy"] != "keep" {
		t.Error("helm uninstall would delete the CRD, and all bridges with it")
	}
	if n := len(decode[map[string]any](t, helmed(t, "--set=crds.install=false"), "CustomResourceDefinition")); n != 0 {
		t.Errorf("crds.install=false installs %d CRDs", n)
	}
}

func TestChart_WatchNamespaces_GrantsPermissionsInThemOnly(t *testing.T) {
	h := helmed(t, "--set=watchNamespaces={a,b}")
	for name, binding := range decode[rbacv1.ClusterRoleBinding](t, h, "ClusterRoleBinding") {
		if binding.RoleRef.Name == "mqttbridge-operator-manager" {
			t.Errorf("ClusterRoleBinding %s grants the operator's permissions in all namespaces", name)
		}
	}
	var namespaces []string
	for i := range h {
		if ref, _, _ := unstructured.NestedString(h[i].Object, "roleRef", "name"); ref == "mqttbridge-operator-manager" {
			namespaces = append(namespaces, h[i].GetNamespace())
		}
	}
	slices.Sort(namespaces)
	if !slices.Equal(namespaces, []string{"a", "b"}) {
		t.Errorf("the operator has its permissions in %v; want a and b", namespaces)
	}
	d := only[appsv1.Deployment](t, h, "Deployment")
	if !slices.Contains(d.Spec.Template.Spec.Containers[0].Args, "--watch-namespaces=a,b") {
		t.Errorf("the operator's arguments lack --watch-namespaces=a,b: %v", d.Spec.Template.Spec.Containers[0].Args)
	}
}

func TestChart_Class_NamesArgumentAndLease(t *testing.T) {
	h := helmed(t, "--set=class=edge")
	if args := only[appsv1.Deployment](t, h, "Deployment").Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--class=edge") {
		t.Errorf("the operator's arguments lack --class=edge: %v", args)
	}
	role := only[rbacv1.Role](t, h, "Role")
	if !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool {
		return slices.Equal(r.ResourceNames, []string{"edge.operator.mqttbridge.io"})
	}) {
		t.Errorf("the operator has no right on the Lease of its class: %+v", role.Rules)
	}
}

func TestChart_Policy_SetsFlagsOnlyForLists(t *testing.T) {
	flags := func(args ...string) (out []string) {
		t.Helper()
		for _, arg := range only[appsv1.Deployment](t, helmed(t, args...), "Deployment").Spec.Template.Spec.Containers[0].Args {
			if strings.HasPrefix(arg, "--allow") {
				out = append(out, arg)
			}
		}
		return out
	}
	if got := flags(); len(got) > 0 {
		t.Errorf("the defaults set %q; want no limit", got)
	}
	got := flags("--set=policy.allowedImages={a/,b}", "--set-json=policy.allowedPriorityClasses=[]", "--set=policy.allowedServiceAccounts={a}", "--set=policy.allowedSecrets={mqtt-*}", "--set=policy.allowTolerations=false")
	want := []string{"--allowed-images=a/,b", "--allowed-priority-classes=", "--allowed-service-accounts=a", "--allowed-secrets=mqtt-*", "--allow-tolerations=false"}
	if !slices.Equal(got, want) {
		t.Errorf("the flags are %q; want %q", got, want)
	}
}

func TestChart_UpdateWindows_AreAcceptedByTheOperator(t *testing.T) {
	h := helmed(t, "--set-json=updateWindows="+`[{"schedule":"0 2 * * 6","durationMinutes":240},{"schedule":"30 22 1,15 * MON","durationMinutes":10080}]`, "--set=updateTimeZone=Europe/Berlin")
	args := only[appsv1.Deployment](t, h, "Deployment").Spec.Template.Spec.Containers[0].Args
	const windows = "0 2 * * 6 240m; 30 22 1,15 * MON 10080m"
	if !slices.Contains(args, "--update-windows="+windows) || !slices.Contains(args, "--update-time-zone=Europe/Berlin") {
		t.Errorf("the operator's arguments lack --update-windows=%s or --update-time-zone=Europe/Berlin: %q", windows, args)
	}
	if _, err := controllers.ParseUpdateWindows(windows, "Europe/Berlin"); err != nil {
		t.Errorf("the operator refuses the windows of the chart: %v", err)
	}
}

func TestChart_ClusterID_ReplacesTheRightToGetKubeSystem(t *testing.T) {
	const role = "mqttbridge-operator-cluster-id"
	for _, c := range []struct {
		args []string
		want bool
	}{
		{nil, false}, // the operator's ClusterRole has the right
		{[]string{"--set=watchNamespaces={a}"}, true},
		{[]string{"--set=watchNamespaces={a}", "--set=clusterID=one"}, false},
	} {
		h := helmed(t, c.args...)
		r, ok := decode[rbacv1.Role](t, h, "Role")[role]
		if ok != c.want || ok && (r.Namespace != "kube-system" || !slices.Equal(r.Rules[0].ResourceNames, []string{"kube-system"})) {
			t.Errorf("%v: the Role is %+v", c.args, r)
		}
		args := only[appsv1.Deployment](t, h, "Deployment").Spec.Template.Spec.Containers[0].Args
		if given := slices.Contains(c.args, "--set=clusterID=one"); slices.Contains(args, "--cluster-id=one") != given {
			t.Errorf("%v: the operator's arguments are %v", c.args, args)
		}
	}
}

func TestNamespace_Labels_EnforceRestrictedPodSecurityStandard(t *testing.T) {
	ns := only[corev1.Namespace](t, kustomized(t), "Namespace")
	if ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("labels of the namespace: %v", ns.Labels)
	}
}
