// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxIdlePass is the longest duration of a pass that changes nothing. A restarted operator makes
// such a pass over each bridge.
const maxIdlePass = 300 * time.Microsecond

func TestReconcile_NothingChanged_IsFast(t *testing.T) {
	b, _ := forwardingBridge(t)
	awaitIdle(t, b)
	// The fastest of several attempts counts, because the machine may be busy.
	const attempts, passes = 40, 25
	best := time.Hour
	for range attempts {
		start := time.Now()
		for range passes {
			if _, err := operator.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}); err != nil {
				t.Fatal(err)
			}
		}
		best = min(best, time.Since(start)/passes)
	}
	t.Logf("a pass takes %s", best)
	if best > maxIdlePass {
		t.Errorf("a pass that changes nothing takes %s; want at most %s", best, maxIdlePass)
	}
}

func TestReconcile_NewBridge_NeedsSixRequests(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	create(t, b)
	awaitCondition(t, b, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing)
	awaitIdle(t, b)
	var got []string
	for _, request := range operatorIO.matching("/namespaces/"+b.Namespace+"/", http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete) {
		if !strings.HasSuffix(request, "/events") {
			got = append(got, request)
		}
	}
	const want = 6 // five children and the status
	if len(got) > want {
		t.Errorf("a new bridge needs %d requests; want at most %d:\n%s", len(got), want, strings.Join(got, "\n"))
	}
}

func TestChildren_CacheOlderThanChild_AreAppliedAgain(t *testing.T) {
	b, _ := forwardingBridge(t)
	for _, c := range built(t, b) {
		if err := operator.createChild(t.Context(), b, c); err != nil {
			t.Errorf("applying %v as if the cache did not hold it: %v", identify(c), err)
		}
	}
}
