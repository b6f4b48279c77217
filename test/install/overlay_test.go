// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// overlaid returns the objects of a kustomization that uses config/default as its base.
func overlaid(t *testing.T, kustomization string) []unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	base, err := filepath.Rel(dir, filepath.Join(apiserver.Root(), "config", "default"))
	if err != nil {
		t.Fatal(err)
	}
	kustomization = strings.ReplaceAll(kustomization, "BASE", base)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	return tool(t, "kustomize", "build", dir)
}

// A binding whose subject keeps the earlier namespace or name gives the operator no rights.
func TestKustomize_OverlayWithNamespaceAndPrefix_BindsTheServiceAccountOfTheOperator(t *testing.T) {
	for _, kustomization := range []string{
		"resources: [BASE]\nnamespace: other\n",
		"resources: [BASE]\nnamePrefix: my-\n",
		"resources: [BASE]\nnamespace: other\nnamePrefix: my-\n",
	} {
		objects := overlaid(t, kustomization)
		account := only[corev1.ServiceAccount](t, objects, "ServiceAccount")
		if name := only[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec.ServiceAccountName; name != account.Name {
			t.Errorf("%s: the operator runs as %s; want %s", kustomization, name, account.Name)
		}
		subjects := map[string][]rbacv1.Subject{}
		for name, binding := range decode[rbacv1.ClusterRoleBinding](t, objects, "ClusterRoleBinding") {
			subjects["ClusterRoleBinding "+name] = binding.Subjects
		}
		for name, binding := range decode[rbacv1.RoleBinding](t, objects, "RoleBinding") {
			subjects["RoleBinding "+name] = binding.Subjects
		}
		if len(subjects) != 3 {
			t.Errorf("%s: %d bindings; want 3", kustomization, len(subjects))
		}
		for name, s := range subjects {
			if len(s) != 1 || s[0].Name != account.Name || s[0].Namespace != account.Namespace {
				t.Errorf("%s: the subjects of %s are %+v; want the ServiceAccount %s/%s",
					kustomization, name, s, account.Namespace, account.Name)
			}
		}
	}
}

// The image of an overlay does not reach the replacement of its base, so that the documentation has
// a kustomization that sets both images.
func TestKustomize_OverlayOfTheDocumentation_SetsBothImages(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(apiserver.Root(), "docs", "installation.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n# kustomization.yaml\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/installation.md has no kustomization.yaml with config/default as its base")
	}
	base := regexp.MustCompile(`https://\S+/config/default\?ref=v[0-9.]+`)
	if !base.Match(block[1]) {
		t.Fatalf("the kustomization has no base at a version of the repository:\n%s", block[1])
	}
	objects := overlaid(t, base.ReplaceAllString(string(block[1]), "BASE"))
	c := only[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec.Containers[0]
	if strings.HasSuffix(c.Image, ":latest") || c.Args[0] != "--runner-image="+c.Image {
		t.Errorf("the image is %s, and the first argument %s; want the same image, with the version of the kustomization", c.Image, c.Args[0])
	}
}
