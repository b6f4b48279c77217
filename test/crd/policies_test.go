// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// tenant is a user who may write bridges in a namespace and get some of its Secrets.
type tenant struct {
	client.Client
	namespace string
}

// newTenant creates a namespace with the labels, and a user with the rights. secrets are the
// names of the Secrets that the user may get; an empty name stands for all.
func newTenant(t *testing.T, name string, labels map[string]string, secrets ...string) tenant {
	t.Helper()
	admin := apiserver.Need(t, server).Client
	rules := []rbacv1.PolicyRule{{APIGroups: []string{"mqttbridge.io"}, Resources: []string{"mqttbridges"}, Verbs: []string{"create", "update", "patch", "get"}}}
	for _, secret := range secrets {
		rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}
		if secret != "" {
			rule.ResourceNames = []string{secret}
		}
		rules = append(rules, rule)
	}
	for _, obj := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}},
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "tenant"}, Rules: rules},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "tenant"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "tenant"},
		},
	} {
		if err := admin.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	config, err := server.AddUser(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: apiserver.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return tenant{c, name}
}

// create creates a minimal bridge with additions to its spec, as a dry run.
func (u tenant) create(ctx context.Context, t *testing.T, additions string) error {
	t.Helper()
	bridge := parse(t, `{apiVersion: mqttbridge.io/v1alpha1, kind: MQTTBridge, metadata: {name: plant}, spec: {
		local: {primary: {url: "mqtt://a"}}, remote: {primary: {url: "mqtts://b"}}, localToRemote: [{filter: "#"}]}}`)
	bridge.SetNamespace(u.namespace)
	spec := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(additions), &spec); err != nil {
		t.Fatal(err)
	}
	merged, _ := bridge.Object["spec"].(map[string]any)
	merge(merged, spec)
	return u.Create(ctx, bridge, client.DryRunAll)
}

// merge adds the values of from to into.
func merge(into, from map[string]any) {
	for key, value := range from {
		below, isMap := value.(map[string]any)
		existing, exists := into[key].(map[string]any)
		if isMap && exists {
			merge(existing, below)
			continue
		}
		into[key] = value
	}
}

func TestPolicies_NetworkPolicy_SelectsRunnersAndTheirPorts(t *testing.T) {
	u := parse(t, files(t, "config", "samples", "policies")["networkpolicy"])
	if err := submit(t, u); err != nil {
		t.Fatal(err)
	}
	selector, _, _ := unstructured.NestedStringMap(u.Object, "spec", "podSelector", "matchLabels")
	golden, err := os.ReadFile(filepath.Join(apiserver.Root(), "controllers", "testdata", "two-runners.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range selector {
		if !strings.Contains(string(golden), key+": "+value+"\n") {
			t.Errorf("the pods of bridges have no label %s: %s", key, value)
		}
	}
	for _, port := range []string{"http", "peer"} {
		if !strings.Contains(string(golden), "name: "+port+"\n") {
			t.Errorf("the pods of bridges have no port %s", port)
		}
	}
}

// installPolicies creates the objects of config/samples/policies.
func installPolicies(t *testing.T) {
	t.Helper()
	admin := apiserver.Need(t, server).Client
	for name, text := range files(t, "config", "samples", "policies") {
		if name == "kustomization" {
			continue
		}
		for document := range strings.SplitSeq(text, "\n---\n") {
			u := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict([]byte(document), &u.Object); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(u.GetKind(), "ValidatingAdmissionPolicy") {
				if err := admin.Create(t.Context(), u); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = admin.Delete(context.Background(), u) })
			}
		}
	}
}

// awaitDenial waits until a policy denies a bridge, because a policy takes effect after a moment.
func awaitDenial(t *testing.T, u tenant, additions string) {
	t.Helper()
	var last error
	defer func() {
		if t.Failed() {
			t.Logf("the last answer: %v", last)
		}
	}()
	apiserver.Eventually(t, "a denial of "+additions, func(ctx context.Context) (bool, error) {
		err := u.create(ctx, t, additions)
		if ctx.Err() == nil {
			last = err
		}
		return apierrors.IsInvalid(err), nil
	})
}

func TestPolicies_Samples_DenyAndAllow(t *testing.T) {
	installPolicies(t)
	some := newTenant(t, "some-secrets", map[string]string{"mqttbridge.io/tenant": "true"}, "login", "cert", "gateway", "pull", "ca")
	all := newTenant(t, "all-secrets", nil, "")
	awaitDenial(t, some, `{remote: {credentials: {username: {value: me}, password: {secretKeyRef: {name: other}}}}}`)
	awaitDenial(t, some, `{runner: {image: other}}`)
	for name, c := range map[string]struct {
		tenant    tenant
		additions string
		denied    string // a part of the message; empty: allowed
	}{
		"a bridge without Secrets": {some, `{}`, ""},
		"Secrets that the user may get": {some, `{remote: {credentials: {username: {value: me}, password: {secretKeyRef: {name: login}}}, tls: {certificate: {configMapKeyRef: {name: cert}}, key: {secretKeyRef: {name: cert}}, ca: {secretKeyRef: {name: ca}}},
			primary: {credentials: {username: {value: me}, password: {secretKeyRef: {name: login}}}}}, runner: {imagePullSecrets: [{name: pull}]}}`, ""},
		"the ConfigMap of a CA":     {some, `{remote: {tls: {ca: {configMapKeyRef: {name: other}}}}}`, ""},
		"every Secret":              {all, `{remote: {credentials: {username: {value: me}, password: {secretKeyRef: {name: other}}}}}`, ""},
		"a login of a side":         {some, `{local: {credentials: {username: {value: me}, password: {secretKeyRef: {name: other}}}}}`, "refers to the Secrets other, and you may not get each of them"},
		"a login after another":     {some, `{local: {credentials: {username: {value: me}, password: {secretKeyRef: {name: login}}}}, remote: {credentials: {username: {value: me}, password: {secretKeyRef: {name: other}}}}}`, "refers to the Secrets login, other"},
		"a login of a server":       {some, `{remote: {primary: {credentials: {username: {value: me}, password: {secretKeyRef: {name: other}}}}}}`, "you may not get"},
		"a login of a backup":       {some, `{remote: {backups: [{url: "mqtt://c", credentials: {username: {value: me}, password: {secretKeyRef: {name: other}}}}]}}`, "you may not get"},
		"a login of a proxy":        {some, `{remote: {proxy: {url: "http://p:1", credentials: {username: {value: me}, password: {secretKeyRef: {name: other}}}}}}`, "you may not get"},
		"a user name":               {some, `{remote: {credentials: {username: {secretKeyRef: {name: other}}}, protocolVersion: "5"}}`, "you may not get"},
		"a certificate":             {some, `{remote: {tls: {certificate: {secretKeyRef: {name: other}}, key: {secretKeyRef: {name: cert}}}}}`, "you may not get"},
		"a variable":                {some, `{runner: {env: [{name: A, valueFrom: {secretKeyRef: {name: other, key: a}}}]}}`, "you may not get"},
		"an extra volume":           {some, `{runner: {extraVolumes: [{name: a, secret: {name: other}}]}}`, "you may not get"},
		"a key":                     {some, `{remote: {tls: {certificate: {configMapKeyRef: {name: other}}, key: {secretKeyRef: {name: other}}}}}`, "you may not get"},
		"the Secret of a CA":        {some, `{remote: {tls: {ca: {secretKeyRef: {name: other}}}}}`, "you may not get"},
		"a query":                   {some, `{remote: {backups: [{url: "wss://c", webSocket: {queryFrom: {secretKeyRef: {name: other, key: k}}}}]}}`, "you may not get"},
		"a header":                  {some, `{remote: {backups: [{url: "wss://c", webSocket: {headers: [{name: x, value: one}, {name: z, valueFrom: {secretKeyRef: {name: other, key: k}}}]}}]}}`, "you may not get"},
		"a Secret for pulling":      {some, `{runner: {imagePullSecrets: [{name: other}]}}`, "you may not get"},
		"an image of the project":   {some, `{runner: {image: "ghcr.io/mqttbridge/runner:v1"}}`, ""},
		"another image":             {some, `{runner: {image: "ghcr.io/mqttbridge-evil/runner:v1"}}`, "spec.runner.image must be an image of"},
		"a priority class":          {some, `{runner: {priorityClassName: system-node-critical}}`, "remove spec.runner.priorityClassName"},
		"a NetworkPolicy":           {some, `{runner: {networkPolicy: {}}}`, "remove spec.runner.networkPolicy"},
		"a toleration":              {some, `{runner: {tolerations: [{operator: Exists}]}}`, "remove spec.runner.tolerations"},
		"a namespace without label": {all, `{runner: {image: other, priorityClassName: high, tolerations: [{operator: Exists}]}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.tenant.create(t.Context(), t, c.additions)
			switch {
			case c.denied == "" && err != nil:
				t.Errorf("denied: %v", err)
			case c.denied != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), c.denied)):
				t.Errorf("want a denial with %q, got %v", c.denied, err)
			}
		})
	}
}

func TestPolicies_ManySecrets_NeedTheRightToGetAll(t *testing.T) {
	installPolicies(t)
	names := []string{"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"}
	many, all := newTenant(t, "many-secrets", nil, names...), newTenant(t, "every-secret", nil, "")
	var pull []string
	for _, name := range names {
		pull = append(pull, "{name: "+name+"}")
	}
	with := func(n int) string {
		return "{runner: {imagePullSecrets: [" + strings.Join(pull[:n], ", ") + "]}}"
	}
	awaitDenial(t, many, `{runner: {imagePullSecrets: [{name: other}]}}`)
	if err := many.create(t.Context(), t, with(8)); err != nil {
		t.Errorf("8 Secrets: %v", err) // the cost of the policy is below the limit
	}
	if err := many.create(t.Context(), t, with(9)); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "more than 8 Secrets") {
		t.Errorf("9 Secrets: %v", err)
	}
	if err := all.create(t.Context(), t, with(9)); err != nil {
		t.Errorf("9 Secrets with the right to get all: %v", err)
	}
}

// The operator may get no Secret. It sets a finalizer when a bridge is created, and removes it when the
// bridge is deleted.
func TestPolicies_ChangeOfMetadata_IsAllowed(t *testing.T) {
	installPolicies(t)
	writer := newTenant(t, "writes-bridges", map[string]string{"mqttbridge.io/tenant": "true"}, "login")
	awaitDenial(t, writer, `{remote: {credentials: {username: {value: me}, password: {secretKeyRef: {name: other}}}}}`)
	awaitDenial(t, writer, `{runner: {image: other}}`)
	bridge := parse(t, `{apiVersion: mqttbridge.io/v1alpha1, kind: MQTTBridge, metadata: {name: plant}, spec: {
		local: {primary: {url: "mqtt://a"}}, remote: {primary: {url: "mqtts://b"}, credentials: {username: {value: me}, password: {secretKeyRef: {name: login}}}},
		localToRemote: [{filter: "#"}]}}`)
	bridge.SetNamespace(writer.namespace)
	if err := writer.Create(t.Context(), bridge); err != nil {
		t.Fatal(err)
	}
	admin := apiserver.Need(t, server)
	config, err := admin.AddUser("operator-without-secrets")
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range []client.Object{
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: writer.namespace, Name: "operator"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"mqttbridge.io"}, Resources: []string{"mqttbridges"}, Verbs: []string{"patch"}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: writer.namespace, Name: "operator"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "operator-without-secrets"}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "operator"},
		},
	} {
		if err := admin.Client.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	operator, err := client.New(config, client.Options{Scheme: apiserver.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	patch := func(text string) error {
		u := bridge.DeepCopy()
		return operator.Patch(t.Context(), u, client.RawPatch(types.MergePatchType, []byte(text)))
	}
	apiserver.Eventually(t, "the right to patch bridges", func(context.Context) (bool, error) {
		return !apierrors.IsForbidden(patch(`{}`)), nil
	})
	for _, text := range []string{`{"metadata":{"finalizers":["mqttbridge.io/deletion"]}}`, `{"metadata":{"finalizers":null}}`} {
		if err := patch(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := patch(`{"spec":{"suspend":true}}`); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "you may not get") {
		t.Errorf("a change of the spec by a user who may get no Secret: %v", err)
	}
}
