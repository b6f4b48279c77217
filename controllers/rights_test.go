// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

func clientOf(t *testing.T, config *rest.Config) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(config, client.Options{Scheme: apiserver.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rightsIn returns all rights of a client in a namespace as the API server lists them, as
// "verb group/resource name", sorted. It leaves out the rights that Kubernetes gives to every
// user, to review their own rights, and to every ServiceAccount, to read ClusterTrustBundles,
// which are public.
func rightsIn(t *testing.T, c client.Client, namespace string) []string {
	t.Helper()
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
	if err := c.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	if review.Status.Incomplete {
		t.Fatalf("the API server does not list all rights: %s", review.Status.EvaluationError)
	}
	var out []string
	for _, rule := range review.Status.ResourceRules {
		for _, group := range rule.APIGroups {
			if group == "authorization.k8s.io" || group == "authentication.k8s.io" {
				continue
			}
			for _, resource := range rule.Resources {
				if resource == "clustertrustbundles" {
					continue
				}
				for _, verb := range rule.Verbs {
					out = append(out, strings.TrimSpace(verb+" "+group+"/"+resource+" "+strings.Join(rule.ResourceNames, ",")))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// secretIn creates a Secret.
func secretIn(t *testing.T, namespace string) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "login"}, StringData: map[string]string{"password": "x"}}
	create(t, s)
	return s
}

// forbidden fails the test if an attempt is not refused for a missing right.
func forbidden(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("to %s is not forbidden: %v", what, err)
	}
}

// mergePatch returns a patch.
func mergePatch(text string) client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(text))
}

func TestRights_Runner_PatchesItsStatusAndWatchesItsConfigMapOnly(t *testing.T) {
	b, pod := forwardingBridge(t)
	other := newBridge(b.Namespace, "other")
	create(t, other)
	awaitDeployment(t, other, "the Deployment", func(*appsv1.Deployment) bool { return true })
	secret := secretIn(t, b.Namespace)
	c := clientOf(t, asRunner(b.Namespace, b.Name))

	want := []string{"patch mqttbridge.io/mqttbridges/status plant", "watch /configmaps plant-bridge"}
	if got := rightsIn(t, c, b.Namespace); !slices.Equal(got, want) {
		t.Errorf("the runner's rights are %q; want %q", got, want)
	}
	if got := rightsIn(t, c, metav1.NamespaceDefault); len(got) > 0 {
		t.Errorf("the runner has rights in another namespace: %q", got)
	}

	ctx, status := t.Context(), mergePatch(`{"status":{"observedGeneration":7}}`)
	forbidden(t, "patch the status of another bridge", c.Status().Patch(ctx, other, status))
	forbidden(t, "patch its bridge", c.Patch(ctx, b.DeepCopy(), mergePatch(`{"spec":{"suspend":true}}`)))
	forbidden(t, "get its bridge", c.Get(ctx, client.ObjectKeyFromObject(b), &v1alpha1.MQTTBridge{}))
	forbidden(t, "get its ConfigMap", c.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}, &corev1.ConfigMap{}))
	forbidden(t, "get a Secret", c.Get(ctx, client.ObjectKeyFromObject(secret), &corev1.Secret{}))
	forbidden(t, "patch its pod", c.Patch(ctx, pod.DeepCopy(), mergePatch(`{"metadata":{"labels":{"a":"b"}}}`)))
	_, err := c.Watch(ctx, &corev1.ConfigMapList{}, client.InNamespace(b.Namespace))
	forbidden(t, "watch all ConfigMaps", err)
	_, err = c.Watch(ctx, &corev1.ConfigMapList{}, client.InNamespace(b.Namespace), client.MatchingFields{"metadata.name": childName("other")})
	forbidden(t, "watch the ConfigMap of another bridge", err)
	w, err := c.Watch(ctx, &corev1.ConfigMapList{}, client.InNamespace(b.Namespace), client.MatchingFields{"metadata.name": childName(b.Name)})
	if err != nil {
		t.Fatalf("the runner cannot watch its ConfigMap: %v", err)
	}
	w.Stop()
}

func TestRights_Tenant_CreatesBridgesAndNothingElse(t *testing.T) {
	ns := namespace(t)
	secret := secretIn(t, ns)
	rule := rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"mqttbridges"}, Verbs: []string{"create"}}
	create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "tenant"}, Rules: []rbacv1.PolicyRule{rule}})
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "tenant"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "tenant"}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "tenant"},
	})
	config, err := server.AddUser("tenant")
	if err != nil {
		t.Fatal(err)
	}
	c := clientOf(t, config)
	if got, want := rightsIn(t, c, ns), []string{"create mqttbridge.io/mqttbridges"}; !slices.Equal(got, want) {
		t.Errorf("the tenant's rights are %q; want %q", got, want)
	}

	ctx, b := t.Context(), newBridge(ns, "plant")
	b.Status.Runners = []v1alpha1.RunnerStatus{{Pod: "invented", Role: v1alpha1.RunnerActive}}
	if err := c.Create(ctx, b); err != nil {
		t.Fatalf("the tenant cannot create a bridge: %v", err)
	}
	if len(b.Status.Runners) > 0 {
		t.Error("the tenant has set the status of a new bridge")
	}
	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	forbidden(t, "create a bridge in another namespace", c.Create(ctx, newBridge(metav1.NamespaceDefault, "plant")))
	forbidden(t, "patch the status of a bridge", c.Status().Patch(ctx, b.DeepCopy(), mergePatch(`{"status":{"observedGeneration":7}}`)))
	forbidden(t, "get a Secret", c.Get(ctx, client.ObjectKeyFromObject(secret), &corev1.Secret{}))
	forbidden(t, "patch the Deployment of a bridge", c.Patch(ctx, d.DeepCopy(), mergePatch(`{"spec":{"replicas":2}}`)))
	forbidden(t, "get the ConfigMap of a bridge", c.Get(ctx, client.ObjectKey{Namespace: ns, Name: childName(b.Name)}, &corev1.ConfigMap{}))
	forbidden(t, "create a pod", c.Create(ctx, runnerPod(b, "own")))
	forbidden(t, "grant itself a right", c.Create(ctx, secretsRole(ns)))
}

// secretsRole returns a Role that permits to read Secrets.
func secretsRole(namespace string) *rbacv1.Role {
	return &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "secrets"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}},
	}
}

func TestRights_Operator_AreTheListedRights(t *testing.T) {
	b, pod := forwardingBridge(t)
	secret := secretIn(t, b.Namespace)
	config, err := server.AddUser(operatorUser)
	if err != nil {
		t.Fatal(err)
	}
	c := clientOf(t, config)

	want := []string{"get /namespaces kube-system"}
	for _, right := range []struct{ verbs, resources string }{
		{"get list watch patch", "mqttbridge.io/mqttbridges"}, // patch for the finalizer
		{"patch", "mqttbridge.io/mqttbridges/status"},
		{"get list watch create patch delete", "/configmaps /serviceaccounts apps/deployments rbac.authorization.k8s.io/roles rbac.authorization.k8s.io/rolebindings"},
		{"get list watch create patch", "/persistentvolumeclaims"},
		{"get list watch", "/pods"},
		{"patch", "/pods/status"}, // for the annotation of the active pod
		{"get list watch create patch delete", "networking.k8s.io/networkpolicies"},
		{"get list watch create patch delete", "policy/poddisruptionbudgets"},
		{"get list watch create update patch delete", "coordination.k8s.io/leases"}, // update to grant it
		{"create patch", "events.k8s.io/events"},
	} {
		for _, resource := range strings.Fields(right.resources) {
			for _, verb := range strings.Fields(right.verbs) {
				want = append(want, verb+" "+resource)
			}
		}
	}
	slices.Sort(want)
	if got := rightsIn(t, c, b.Namespace); !slices.Equal(got, want) {
		t.Errorf("the operator's rights are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	ctx := t.Context()
	forbidden(t, "get a Secret", c.Get(ctx, client.ObjectKeyFromObject(secret), &corev1.Secret{}))
	forbidden(t, "list Secrets", c.List(ctx, &corev1.SecretList{}))
	forbidden(t, "patch a pod", c.Patch(ctx, pod.DeepCopy(), mergePatch(`{"metadata":{"labels":{"a":"b"}}}`)))
	forbidden(t, "create a pod", c.Create(ctx, runnerPod(b, "own")))
	forbidden(t, "create a bridge", c.Create(ctx, newBridge(b.Namespace, "own")))
	forbidden(t, "delete a bridge", c.Delete(ctx, b.DeepCopy()))
	forbidden(t, "delete a claim", c.Delete(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: "data"}}))
	forbidden(t, "grant a right that it does not have", c.Create(ctx, secretsRole(b.Namespace)))
	if requests := operatorIO.matching("/secrets", http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete); len(requests) > 0 {
		t.Errorf("the operator requested Secrets: %v", requests)
	}
}
