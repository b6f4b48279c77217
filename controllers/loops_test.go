// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

func TestLoop_TwoBridgesBetweenTheSameServers_AreDegradedWhileBothExist(t *testing.T) {
	b, _ := forwardingBridge(t)
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary)
	back := newBridge(b.Namespace, "back")
	back.Spec.LocalToRemote, back.Spec.RemoteToLocal = nil, []v1alpha1.Rule{{Filter: "sensors/+"}}
	create(t, back)
	got := awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonMessageLoop)
	message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionDegraded).Message
	for _, want := range []string{"localToRemote[0] of " + b.Namespace + "/" + b.Name, "remoteToLocal[0] of " + b.Namespace + "/back", "delivery.maxHops"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message %q does not name %s", message, want)
		}
	}
	back = update(t, back, func(x *v1alpha1.MQTTBridge) { x.Spec.RemoteToLocal[0].Topic = "copies/${topic}" })
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary)
	update(t, back, func(x *v1alpha1.MQTTBridge) { x.Spec.RemoteToLocal[0].Topic = "" })
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonMessageLoop)
	if err := apiserver.Need(t, server).Client.Delete(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, b, v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary)
}

func TestLoop_OtherProblems_AreReportedWithTheLoop(t *testing.T) {
	withLoopFound := func(o *observation) { o.loop = "by these rules" }
	for _, c := range []struct {
		name  string
		given *observation
		want  string
	}{
		{"alone", observed(withLoopFound), "True/MessageLoop messages circulate in a loop through several bridges between the same servers: by these rules; change"},
		{"on a backup", observed(withSides(localUp(), remoteOnBackup()), withLoopFound), "True/ActiveOnBackup the remote side is on backup-1"},
		{"not reported", observed(noPods, withLoopFound), "Unknown/RunnerNotRunning"},
		{"no loop", observed(), "False/ActiveOnPrimary"},
	} {
		d := meta.FindStatusCondition(derive(c.given, epoch), v1alpha1.ConditionDegraded)
		if got := string(d.Status) + "/" + d.Reason + " " + d.Message; !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if d.Status == metav1.ConditionTrue && !strings.Contains(d.Message, "by these rules") {
			t.Errorf("%s: %q does not name the loop", c.name, d.Message)
		}
	}
}
