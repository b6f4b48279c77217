// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The migration has its own API group, so that the CRD of the other tests stays as it is.
const (
	migrationGroup = "migration.example"
	migrationCRD   = "mqttbridges." + migrationGroup
)

// migration is the CRD of this release in the group of the migration, and its bridges.
type migration struct {
	t          *testing.T
	kubeconfig string
	crd        *apiextensionsv1.CustomResourceDefinition
	specs      map[string]any // of the bridges, by name
}

func newMigration(t *testing.T) *migration {
	t.Helper()
	apiserver.Need(t, server)
	m := &migration{t: t, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), specs: map[string]any{}}
	if err := os.WriteFile(m.kubeconfig, server.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", "crd", "bases", "mqttbridge.io_mqttbridges.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m.crd = &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(raw, m.crd); err != nil {
		t.Fatal(err)
	}
	m.crd.Name, m.crd.Spec.Group = migrationCRD, migrationGroup
	m.crd.Spec.Names.ShortNames, m.crd.Spec.Names.Categories = nil, nil
	if err := apiextensionsv1.AddToScheme(server.Client.Scheme()); err != nil {
		t.Fatal(err)
	}
	if err := server.Client.Create(t.Context(), m.crd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Client.Delete(context.Background(), m.crd); err != nil {
			t.Error(err)
		}
	})
	return m
}

// change changes the CRD, and waits until the API server serves all versions that it shall serve.
func (m *migration) change(change func(*apiextensionsv1.CustomResourceDefinition)) error {
	m.t.Helper()
	if err := server.Client.Get(m.t.Context(), client.ObjectKeyFromObject(m.crd), m.crd); err != nil {
		m.t.Fatal(err)
	}
	change(m.crd)
	return server.Client.Update(m.t.Context(), m.crd)
}

func (m *migration) mustChange(change func(*apiextensionsv1.CustomResourceDefinition)) {
	m.t.Helper()
	if err := m.change(change); err != nil {
		m.t.Fatal(err)
	}
}

// bridges returns the bridges as an API version shows them.
func (m *migration) bridges(version string) map[string]unstructured.Unstructured {
	m.t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(apischema.GroupVersionKind{Group: migrationGroup, Version: version, Kind: "MQTTBridgeList"})
	apiserver.Eventually(m.t, "the API server serves "+version, func(ctx context.Context) (bool, error) {
		return server.Client.List(ctx, list) == nil, nil
	})
	out := map[string]unstructured.Unstructured{}
	for i := range list.Items {
		out[list.Items[i].GetName()] = list.Items[i]
	}
	return out
}

// check checks that an API version shows all bridges with the specs that they had at first.
func (m *migration) check(version string) {
	m.t.Helper()
	got := m.bridges(version)
	for name, spec := range m.specs {
		if !reflect.DeepEqual(got[name].Object["spec"], spec) {
			m.t.Errorf("%s of %s has the spec\n%v\nwant\n%v", name, version, got[name].Object["spec"], spec)
		}
	}
	if len(got) != len(m.specs) {
		m.t.Errorf("%s has %d bridges; want %d", version, len(got), len(m.specs))
	}
}

// apply applies a bridge as a user does, with server-side apply.
func (m *migration) apply(u *unstructured.Unstructured, version string) error {
	u = u.DeepCopy()
	u.SetAPIVersion(migrationGroup + "/" + version)
	return server.Client.Apply(m.t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("user"), client.ForceOwnership)
}

// documented returns the commands of a section of the API policy, for the group of the migration.
func (m *migration) documented(heading string) []string {
	m.t.Helper()
	page, err := os.ReadFile(filepath.Join(apiserver.Root(), "docs", "api-policy.md"))
	if err != nil {
		m.t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n### "+heading+"\n")
	if !ok {
		m.t.Fatalf("docs/api-policy.md has no section %s", heading)
	}
	names := strings.NewReplacer("mqttbridges.mqttbridge.io", migrationCRD, "get mqttbridges ", "get "+migrationCRD+" ",
		"kubectl ", server.Tool("kubectl")+" --kubeconfig="+m.kubeconfig+" ")
	var commands []string
	if all, here := strings.Count(string(page), "```sh\n"), strings.Count(text, "```sh\n"); all != here {
		m.t.Errorf("docs/api-policy.md has %d blocks of commands, and %d of them are in or after the section %s: no test runs the others", all, here, heading)
	}
	for _, block := range regexp.MustCompile("(?ms)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		commands = append(commands, names.Replace(strings.TrimSpace(block[1])))
	}
	return commands
}

func (m *migration) run(command string) {
	m.t.Helper()
	if out, err := exec.CommandContext(m.t.Context(), "bash", "-e", "-o", "pipefail", "-c", command).CombinedOutput(); err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// docs/api-policy.md promises that v1beta1 needs no webhook, and describes the migration.
func TestMigration_ToV1beta1_KeepsBridgesWithoutAWebhook(t *testing.T) {
	m := newMigration(t)
	manifests := map[string]*unstructured.Unstructured{}
	apiserver.Eventually(t, "the API server serves the CRD", func(ctx context.Context) (bool, error) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(apischema.GroupVersionKind{Group: migrationGroup, Version: "v1alpha1", Kind: "MQTTBridgeList"})
		return server.Client.List(ctx, list) == nil, nil
	})
	for name, manifest := range files(t, "test", "manifests", "valid") {
		u := parse(t, manifest)
		u.SetName(name)
		if err := m.apply(u, "v1alpha1"); err != nil {
			t.Fatalf("%s: %v", u.GetName(), err)
		}
		manifests[u.GetName()] = u
	}
	for name, u := range m.bridges("v1alpha1") {
		m.specs[name] = u.Object["spec"]
	}
	if len(m.specs) < 10 {
		t.Fatalf("only %d bridges", len(m.specs))
	}

	t.Log("the first release with v1beta1")
	m.mustChange(func(crd *apiextensionsv1.CustomResourceDefinition) {
		beta := crd.Spec.Versions[0].DeepCopy()
		beta.Name = "v1beta1"
		warning := migrationGroup + "/v1alpha1 is deprecated; use v1beta1"
		crd.Spec.Versions[0].Storage, crd.Spec.Versions[0].Deprecated, crd.Spec.Versions[0].DeprecationWarning = false, true, &warning
		crd.Spec.Versions = append(crd.Spec.Versions, *beta)
	})
	m.check("v1alpha1")
	m.check("v1beta1")
	for name, u := range manifests {
		if err := m.apply(u, "v1alpha1"); err != nil {
			t.Errorf("%s: a manifest of v1alpha1: %v", name, err)
		}
	}

	t.Log("the API server refuses to forget a version that may be stored")
	remove := func(crd *apiextensionsv1.CustomResourceDefinition) { crd.Spec.Versions = crd.Spec.Versions[1:] }
	if err := m.change(remove); err == nil || !strings.Contains(err.Error(), "storedVersions") {
		t.Fatalf("removing v1alpha1 before the migration: %v", err)
	}
	commands := m.documented("Migration")
	if len(commands) != 2 {
		t.Fatalf("the page has the commands %q", commands)
	}
	for _, command := range commands {
		m.run(command)
	}

	t.Log("the release that does not serve v1alpha1")
	const late = "everything" // no one applies this bridge for a long time
	m.mustChange(func(crd *apiextensionsv1.CustomResourceDefinition) { crd.Spec.Versions[0].Served = false })
	m.check("v1beta1")
	for name, u := range manifests { // their field managers still name v1alpha1
		if name == late {
			continue
		}
		if err := m.apply(u, "v1beta1"); err != nil {
			t.Errorf("%s: a manifest of v1beta1: %v", name, err)
		}
	}

	t.Log("a CRD without v1alpha1")
	m.mustChange(remove)
	if got := m.crd.Status.StoredVersions; !slices.Equal(got, []string{"v1beta1"}) {
		t.Errorf("the stored versions are %q", got)
	}
	m.check("v1beta1")
	for name, u := range manifests {
		err := m.apply(u, "v1beta1")
		if name != late && err != nil {
			t.Errorf("%s: a manifest of v1beta1: %v", name, err)
		}
		// This is why the page says that the CRD keeps v1alpha1.
		if name == late && (err == nil || !strings.Contains(err.Error(), "invalid group/version: "+migrationGroup+"/v1alpha1")) {
			t.Errorf("%s: its field manager names v1alpha1, and the API server answers %v", name, err)
		}
	}
}
