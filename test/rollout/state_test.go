// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// ours selects the children of bridges, and their pods.
var ours = client.MatchingLabels{"app.kubernetes.io/managed-by": "mqttbridge-operator"}

// timesAndUIDs are different in each run.
var timesAndUIDs = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// childLists returns an empty list of each kind of children.
func childLists() []client.ObjectList {
	return []client.ObjectList{
		&corev1.ConfigMapList{}, &corev1.ServiceAccountList{}, &corev1.PersistentVolumeClaimList{},
		&rbacv1.RoleList{}, &rbacv1.RoleBindingList{}, &appsv1.DeploymentList{},
		&coordinationv1.LeaseList{}, &networkingv1.NetworkPolicyList{}, &policyv1.PodDisruptionBudgetList{},
	}
}

// state returns all bridges and children of the namespace as text, without everything that
// differs between two runs with the same result.
func (c *cluster) state(ctx context.Context) (string, error) {
	var out []string
	bridges := &v1alpha1.MQTTBridgeList{}
	if err := server.Client.List(ctx, bridges, client.InNamespace(c.namespace)); err != nil {
		return "", err
	}
	for i := range bridges.Items {
		slices.SortFunc(bridges.Items[i].Status.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	}
	lists := []client.ObjectList{bridges}
	for _, list := range childLists() {
		if err := server.Client.List(ctx, list, client.InNamespace(c.namespace), ours); err != nil {
			return "", err
		}
		lists = append(lists, list)
	}
	for _, list := range lists {
		err := meta.EachListItem(list, func(item runtime.Object) error {
			obj, _ := item.(client.Object)
			obj.SetResourceVersion("")
			obj.SetManagedFields(nil)
			text, err := yaml.Marshal(obj)
			out = append(out, string(text))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return timesAndUIDs.ReplaceAllString(strings.Join(out, "---\n"), "(varies)"), nil
}

// collectGarbage deletes the objects whose owner does not exist any more, as the garbage
// collector does, and fails the test if a child or a pod is left without a bridge.
func (c *cluster) collectGarbage() {
	c.t.Helper()
	ctx := c.t.Context()
	if err := server.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(c.namespace), ours, client.GracePeriodSeconds(0)); err != nil {
		c.t.Fatal(err)
	}
	for _, list := range childLists() {
		if err := server.Client.List(ctx, list, client.InNamespace(c.namespace), ours); err != nil {
			c.t.Fatal(err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			obj, _ := item.(client.Object)
			owner := metav1.GetControllerOf(obj)
			if owner == nil || !c.owners[owner.UID] {
				c.t.Errorf("%T %s stays after the deletion of its bridge: its owner is %+v", obj, obj.GetName(), owner)
			}
			return server.Client.Delete(ctx, obj, client.PropagationPolicy(metav1.DeletePropagationBackground))
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// difference returns the lines that only one of two texts has.
func difference(got, want string) string {
	var out strings.Builder
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range g {
		if !slices.Contains(w, line) {
			out.WriteString("got:  " + line + "\n")
		}
	}
	for _, line := range w {
		if !slices.Contains(g, line) {
			out.WriteString("want: " + line + "\n")
		}
	}
	return out.String()
}
