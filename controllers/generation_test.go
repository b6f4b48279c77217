// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

func newTopic(b *v1alpha1.MQTTBridge) { b.Spec.LocalToRemote[0].Topic = "x/${topic}" }

func newPod(b *v1alpha1.MQTTBridge) {
	b.Spec.Runner = &v1alpha1.Runner{PodAnnotations: map[string]string{"example.com/changed": "yes"}}
}

func TestGeneration_ChangeThatTheProcessApplies_NeedsNoNewPodAndHasOneEvent(t *testing.T) {
	b, pod := forwardingBridge(t)
	start := len(awaitIdle(t, b))
	d := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	w := watchAsRunner(t, b)
	b = update(t, b, newTopic)
	manifest := w.await("\n  generation: 2\n")
	if got := manifest.Annotations[annotationTemplateHash]; got == "" || got != d.Annotations[annotationTemplateHash] || manifest.Spec.LocalToRemote[0].Topic != "x/${topic}" {
		t.Errorf("the manifest is for the pod template %q, want %q, and has the rules %+v", got, d.Annotations[annotationTemplateHash], manifest.Spec.LocalToRemote)
	}
	got := awaitBridge(t, b, "Ready with the earlier generation", func(got *v1alpha1.MQTTBridge) bool {
		return got.Status.ObservedGeneration == 2 && conditionIs(got, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing)
	})
	ready := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != 1 || !strings.HasSuffix(ready.Message, "; generation 2 is being applied") {
		t.Errorf("Ready is %+v", ready)
	}
	if message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReconciling).Message; !strings.Contains(message, "kubectl rollout restart deployment/plant-bridge") {
		t.Errorf("Reconciling says %q, without a remedy", message)
	}
	if after := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true }); after.ResourceVersion != d.ResourceVersion {
		t.Error("the Deployment has changed")
	}
	awaitIdle(t, b)
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary()) // with the generation of b
	awaitBridge(t, b, "Ready with the latest generation, and nothing left to do", func(got *v1alpha1.MQTTBridge) bool {
		return conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding) &&
			meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReconciling) == nil
	})
	if events := awaitEvents(t, b, 1); len(events) != 1 || events[0] != "Normal ManifestApplied runner pod plant-bridge-1 has applied a change of the spec" {
		t.Errorf("events: %q", events)
	}
	const writes = 3 // the ConfigMap, the status of the new generation, and the status when it is in effect
	if written := awaitIdle(t, b)[start:]; len(written) != writes {
		t.Errorf("%d writes, want %d:\n%s", len(written), writes, strings.Join(written, "\n"))
	}
}

func TestGeneration_ChangeOfThePod_ReachesTheRunningPodWithTheHashOfTheNext(t *testing.T) {
	b, _ := forwardingBridge(t)
	before := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	w := watchAsRunner(t, b)
	b = update(t, b, func(b *v1alpha1.MQTTBridge) {
		newPod(b)
		newTopic(b)
	})
	manifest := w.await("\n  generation: 2\n")
	after := awaitDeployment(t, b, "the new pod template", func(d *appsv1.Deployment) bool { return d.Generation > before.Generation })
	if got := manifest.Annotations[annotationTemplateHash]; got == before.Annotations[annotationTemplateHash] || got != after.Annotations[annotationTemplateHash] {
		t.Errorf("the manifest is for the pod template %q; the running pod has %q, and the new one %q",
			got, before.Annotations[annotationTemplateHash], after.Annotations[annotationTemplateHash])
	}
	if topic := manifest.Spec.LocalToRemote[0].Topic; topic != "x/${topic}" {
		t.Errorf("the topic of the manifest is %q", topic)
	}
	awaitBridge(t, b, "the Deployment is rolled out", func(got *v1alpha1.MQTTBridge) bool {
		c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReconciling)
		return c != nil && c.Message == "Deployment plant-bridge is being rolled out"
	})
}

// The manifest is for the pod template that the Deployment keeps while it waits for a roll-out.
func TestWantedFingerprint_KeptTemplate_IsOfItsManifest(t *testing.T) {
	b := newBridge("default", "plant")
	p, err := newPlan(b, podDefaults{image: "image"}, &Policy{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.children, func(c plannedChild) bool { return c.kind == configMapKind })
	for _, kept := range []string{"earlier", "", "earlier", p.templateHash} { // an earlier operator may not have set it
		config, err := configMap(b, kept)
		if err != nil {
			t.Fatal(err)
		}
		want, err := wantedFingerprint(config)
		if err != nil {
			t.Fatal(err)
		}
		s := &staged{kept: true, annotations: map[string]string{annotationTemplateHash: kept}}
		got, err := p.wantedFingerprint(b, s, &p.children[i], nil)
		if err != nil || got != want {
			t.Errorf("template %q: got fingerprint %s and error %v, want %s", kept, got, err, want)
		}
		if !strings.Contains(config.Data[manifestKey], kept) {
			t.Errorf("the manifest does not name the template %q:\n%s", kept, config.Data[manifestKey])
		}
	}
}

// An admission webhook that fails is no refusal: the operator tries again.
func TestGeneration_WebhookFails_IsReconcilingUntilItWorks(t *testing.T) {
	b, _ := forwardingBridge(t)
	hook := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "fails-in-" + b.Namespace},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name:                    "policy.example.com",
			ClientConfig:            admissionv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/validate")}, // nothing listens there
			FailurePolicy:           ptr.To(admissionv1.Fail),
			SideEffects:             ptr.To(admissionv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: b.Namespace}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}},
		}},
	}
	create(t, hook)
	t.Cleanup(func() { _ = server.Client.Delete(t.Context(), hook) })
	awaitWebhook(t, b)

	b = update(t, b, newPod)
	got := awaitCondition(t, b, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
	ready := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != 1 ||
		!strings.Contains(ready.Message, "generation 2 is not in effect: ApplyFailed: applying Deployment plant-bridge: ") || !strings.Contains(ready.Message, "policy.example.com") {
		t.Errorf("Ready is %+v", ready)
	}
	if events := awaitEvents(t, b, 1); len(events) != 1 || !strings.HasPrefix(events[0], "Warning ApplyFailed applying Deployment plant-bridge: ") {
		t.Errorf("events: %q", events)
	}
	if err := server.Client.Delete(t.Context(), hook); err != nil {
		t.Fatal(err)
	}
	awaitBridge(t, b, "the change is applied by a retry", func(got *v1alpha1.MQTTBridge) bool {
		return conditionIs(got, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing)
	})
}

// awaitWebhook waits until the API server calls the webhook for changes of the Deployment.
func awaitWebhook(t *testing.T, b *v1alpha1.MQTTBridge) {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}}
	for end := time.Now().Add(apiserver.Timeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		err := server.Client.Patch(t.Context(), d, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"touched":"yes"}}}`)), client.DryRunAll)
		if apierrors.IsInternalError(err) {
			return
		}
	}
	t.Fatal("the API server does not call the webhook")
}

func TestReport_EarlierPod_DoesNotReplaceALaterPod(t *testing.T) {
	b, _ := forwardingBridge(t)
	runner := func(pod string, at time.Time, term *int64) *v1alpha1.RunnerStatus {
		return &v1alpha1.RunnerStatus{Pod: pod, Term: term, PodTime: metav1.NewTime(at), StartTime: metav1.NewTime(at), Generation: 1}
	}
	first, second := runner("plant-bridge-1", epoch, nil), runner("plant-bridge-2", epoch.Add(time.Minute), nil)
	second.StartTime = metav1.NewTime(epoch.Add(-time.Hour)) // the clock of its node is wrong
	createPod(t, runnerPod(b, second.Pod))                   // the operator clears the report of a pod that is gone
	at := func(pod string, term int64, minute time.Duration) *v1alpha1.RunnerStatus {
		return runner(pod, epoch.Add(minute*time.Minute), ptr.To(term))
	}
	for _, step := range []struct {
		what     string
		runner   *v1alpha1.RunnerStatus
		accepted bool
	}{
		{"the first pod", first, true},
		{"the first pod again", first, true},
		{"the later pod", second, true},
		{"the last report of the first pod", first, false},
		{"the later pod again", second, true},
		{"an earlier pod with a term", at("plant-bridge-1", 7, 0), false},
		{"a later pod with a term", at("plant-bridge-3", 3, 2), true},
		{"an earlier pod with a later term", at("plant-bridge-2", 4, 1), true},
		{"a later pod with an earlier term", at("plant-bridge-3", 3, 2), false},
		{"the same pod with an earlier term, because the Lease was made again", at("plant-bridge-2", 1, 1), true},
		{"the same term again", at("plant-bridge-2", 1, 1), true},
		{"an earlier pod without a term", runner("plant-bridge-1", epoch, nil), false},
		{"a later pod without a term", runner("plant-bridge-3", epoch.Add(2*time.Minute), nil), true},
	} {
		err := tryReport(t, b, step.runner, localUp(), remoteOnPrimary())
		if (err == nil) != step.accepted {
			t.Errorf("the report of %s: %v; want it accepted: %t", step.what, err, step.accepted)
		}
		if err != nil && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "the report of a later pod")) {
			t.Errorf("the report of %s: %v", step.what, err)
		}
	}
}

// The runner uses an empty patch to ask for its status, because it has no right to read it.
func TestReport_EmptyPatch_ReturnsTheStatusAndWritesNothing(t *testing.T) {
	b, _ := forwardingBridge(t)
	awaitIdle(t, b)
	c, err := client.New(asRunner(b.Namespace, b.Name), client.Options{Scheme: apiserver.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	before := awaitBridge(t, b, "the bridge", func(got *v1alpha1.MQTTBridge) bool { return got != nil })
	asked := &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name}}
	if err := c.Status().Patch(t.Context(), asked, client.RawPatch("application/merge-patch+json", []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	if asked.ResourceVersion != before.ResourceVersion {
		t.Errorf("the patch changed version %s to %s", before.ResourceVersion, asked.ResourceVersion)
	}
	if reporterOf(asked) != "plant-bridge-1" {
		t.Errorf("the answer has the runners %+v", asked.Status.Runners)
	}
}
