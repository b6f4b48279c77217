// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

const deniedImage = "registry.example/denied"

// permitOnly makes the API server refuse objects of a resource in the bridge's namespace, unless they
// satisfy the expression.
func permitOnly(t *testing.T, b *v1alpha1.MQTTBridge, group, resource, expression, message string) {
	t.Helper()
	named := metav1.ObjectMeta{Name: "policy-in-" + b.Namespace}
	fail := admissionv1.Fail
	create(t, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: named,
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: []string{resource}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: expression, Message: message}},
		},
	})
	create(t, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: named,
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        named.Name,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: b.Namespace},
			}},
		},
	})
}

// denyImage makes the API server refuse Deployments with deniedImage in the bridge's namespace.
func denyImage(t *testing.T, b *v1alpha1.MQTTBridge) {
	t.Helper()
	permitOnly(t, b, "apps", "deployments", "!object.spec.template.spec.containers.exists(c, c.image == '"+deniedImage+"')", "this registry is not trusted")
	// The policy takes effect some time after its creation.
	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	d.Spec.Template.Spec.Containers[0].Image = deniedImage
	apiserver.Eventually(t, "the policy takes effect", func(ctx context.Context) (bool, error) {
		err := server.Client.Update(ctx, d.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "this registry is not trusted"), nil
	})
}

func TestChildren_RefusedByAPolicy_ChangesNoChild(t *testing.T) {
	b, _ := forwardingBridge(t)
	awaitIdle(t, b)
	denyImage(t, b)
	before := awaitChild(t, &corev1.ConfigMapList{}, b, "the ConfigMap", func(*corev1.ConfigMap) bool { return true })
	b = update(t, b, func(b *v1alpha1.MQTTBridge) {
		b.Spec.LocalToRemote[0].Topic = "x/${topic}"
		b.Spec.Runner = &v1alpha1.Runner{Image: deniedImage}
	})
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
	message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message
	for _, want := range []string{"applying Deployment plant-bridge: ", "no child object of the bridge is changed", "this registry is not trusted"} {
		if !strings.Contains(message, want) {
			t.Errorf("Stalled says %q; want %q in it", message, want)
		}
	}
	ready := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != 1 || !strings.Contains(ready.Message, "generation 2 is not in effect: ApplyFailed: "+message) {
		t.Errorf("the bridge that runs unchanged has the condition %+v", ready)
	}
	after := awaitChild(t, &corev1.ConfigMapList{}, b, "the ConfigMap", func(*corev1.ConfigMap) bool { return true })
	if before.ResourceVersion != after.ResourceVersion {
		t.Errorf("the ConfigMap has changed, although the Deployment is refused:\n%s", after.Data[manifestKey])
	}
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Runner = nil })
	awaitChild(t, &corev1.ConfigMapList{}, b, "the corrected manifest", func(c *corev1.ConfigMap) bool {
		return strings.Contains(c.Data[manifestKey], "topic: x/${topic}")
	})
	awaitBridge(t, b, "no longer stalled", func(got *v1alpha1.MQTTBridge) bool {
		return meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled) == nil
	})
}

func TestDryRun_Requests_AreMadeOnlyForAFurtherChangeOfARunningBridge(t *testing.T) {
	b, _ := forwardingBridge(t)
	created := awaitIdle(t, b)
	children := slices.DeleteFunc(slices.Clone(created), func(request string) bool { return strings.HasSuffix(request, "/status") })
	if len(children) != 5 {
		t.Errorf("a new bridge causes %d writes of children; want 5:\n%s", len(children), strings.Join(children, "\n"))
	}
	b = update(t, b, newPod)
	awaitDeployment(t, b, "the new pod template", func(d *appsv1.Deployment) bool { return d.Generation == 2 })
	changed := awaitIdle(t, b)[len(created):]
	var deployments, configMaps int
	for _, request := range changed {
		switch {
		case strings.Contains(request, "/deployments/"):
			deployments++
		case strings.Contains(request, "/configmaps/"):
			configMaps++
		}
	}
	if configMaps != 1 || deployments != 2 {
		t.Errorf("a change of the pod causes %d writes of the ConfigMap and %d of the Deployment; want 1, and a dry run and 1:\n%s", configMaps, deployments, strings.Join(changed, "\n"))
	}
}
