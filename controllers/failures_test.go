// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// refusingWebhook refuses every change of a Deployment in the namespace, each time with another
// message. The result counts the refusals.
func refusingWebhook(t *testing.T, namespace string) *atomic.Int32 {
	t.Helper()
	refusals := &atomic.Int32{}
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		review := admissionv1.AdmissionReview{}
		if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Result: &metav1.Status{Message: fmt.Sprintf("refused; request %s, number %d", review.Request.UID, refusals.Add(1))},
		}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(&review)
	}))
	t.Cleanup(hook.Close)
	config := &admissionregv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "refuses-in-" + namespace},
		Webhooks: []admissionregv1.ValidatingWebhook{{
			Name: "policy.example.com",
			ClientConfig: admissionregv1.WebhookClientConfig{
				URL:      ptr.To(hook.URL),
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}),
			},
			SideEffects:             ptr.To(admissionregv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			Rules: []admissionregv1.RuleWithOperations{{
				Operations: []admissionregv1.OperationType{admissionregv1.Update},
				Rule:       admissionregv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}},
		}},
	}
	create(t, config)
	t.Cleanup(func() { _ = server.Client.Delete(t.Context(), config) })
	return refusals
}

// A refusal with another text in each attempt must not make the operator write the status, and
// try again, without a pause.
func TestStatus_RefusalWithAnotherTextEachTime_IsWrittenRarely(t *testing.T) {
	b, _ := forwardingBridge(t)
	awaitIdle(t, b)
	refusals := refusingWebhook(t, b.Namespace)
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}}
	await := func(n int32) {
		t.Helper()
		for end := time.Now().Add(apiserver.Timeout); refusals.Load() < n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d refusals; want %d", refusals.Load(), n)
			}
		}
	}
	for refusals.Load() == 0 { // until the API server calls the webhook
		_ = server.Client.Patch(t.Context(), d, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"touched":"yes"}}}`)), client.DryRunAll)
		time.Sleep(20 * time.Millisecond)
	}
	statusWrites := func() int {
		return len(operatorIO.matching("/namespaces/"+b.Namespace+"/mqttbridges/plant/status", http.MethodPatch))
	}
	before, start := statusWrites(), refusals.Load()
	b = update(t, b, newPod)
	const attempts = 8 // the pauses between them add up to less than two seconds
	await(start + attempts)
	awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonApplyFailed)
	if got := statusWrites() - before; got > 2 {
		t.Errorf("%d refused attempts caused %d status writes; want at most 2", attempts, got)
	}
}
