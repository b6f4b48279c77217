// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// failedOver creates a bridge whose failover was announced, and returns it when its record
// exists.
func failedOver(t *testing.T) *v1alpha1.MQTTBridge {
	t.Helper()
	b, pod := forwardingBridge(t)
	applyReport(t, b, pod.Name, localUp(), withFailover(remoteOnBackup(), "primary", "backup-1", epoch.Add(time.Minute)))
	awaitChild(t, &corev1.ConfigMapList{}, b, "the record of the event", func(c *corev1.ConfigMap) bool {
		return c.Annotations[annotationAnnounced] != ""
	})
	awaitEvents(t, b, 1)
	return b
}

func TestEvents_OperatorRestarts_AreNotSentAgain(t *testing.T) {
	b := failedOver(t)
	awaitIdle(t, b)
	recorder := events.NewFakeRecorder(10)
	restarted := &Reconciler{Client: operator.Client, APIReader: operator.APIReader, Recorder: recorder, RunnerImage: testRunnerImage, Now: time.Now}
	if _, err := restarted.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-recorder.Events:
		t.Errorf("the restarted operator sends %s", e)
	default:
	}
}

func TestEvents_RecordIsOlder_AreNotSent(t *testing.T) {
	b := failedOver(t)
	stale := awaitChild(t, &corev1.ConfigMapList{}, b, "the ConfigMap", func(c *corev1.ConfigMap) bool { return c != nil })
	merge(t, stale.DeepCopy(), `{"metadata":{"labels":{"team":"plant"}}}`) // as another operator changes the record
	recorder := events.NewFakeRecorder(10)
	second := &Reconciler{Client: operator.Client, Recorder: recorder}
	due := []event{{eventType: corev1.EventTypeNormal, reason: v1alpha1.EventFailedBack, action: actionReportFailover, note: "again"}}
	err := second.sendEvents(t.Context(), &observation{bridge: b, manifest: stale}, announced{}, announced{RemoteSwitch: metav1.NowMicro()}, due)
	if !apierrors.IsConflict(err) || len(recorder.Events) > 0 {
		t.Errorf("%v, and %d events; want a conflict and no event", err, len(recorder.Events))
	}
}

func TestRights_Runner_MayNotWriteTheRecordOfEvents(t *testing.T) {
	b := failedOver(t)
	c, err := client.New(asRunner(b.Namespace, b.Name), client.Options{Scheme: apiserver.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}}
	if err := c.Patch(t.Context(), config, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":null}}`))); !apierrors.IsForbidden(err) {
		t.Errorf("the runner changes the record: %v", err)
	}
}
