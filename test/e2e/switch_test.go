// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func TestRequestedSwitch_WithFailback_LosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bridge.Spec.Remote.Failover = &v1alpha1.Failover{
		Probe:    &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](2)},
		Failback: &v1alpha1.Failback{StableSeconds: ptr.To[int32](5)},
	}
	w.ready()
	w.stream()
	pod := w.pod().Name
	lines := w.watch()

	requested := time.Now()
	w.prefer(`{"name":"cloud-2"}`)
	first, err := w.collector.WaitFrom(w.backup.Name, requested, drainTimeout)
	must(t, err)
	t.Logf("from kubectl patch to the first message through the backup %s", first.Time.Sub(requested))
	w.find(lines, "True", w.backup.Name, "Backup")
	want := regexp.MustCompile(`remote side was switched from cloud-1 to its preferredServer cloud-2: no messages were published for \d+ ms`)
	if note := w.event(v1alpha1.EventSwitched); !want.MatchString(note) {
		t.Errorf("the event is %q, want %s", note, want)
	}
	w.condition(v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonActiveOnBackup)
	b := w.get()
	if r := b.Status.Remote.RequestedSwitch; r == nil || r.Server != "cloud-2" || r.Generation != b.Generation || r.State != v1alpha1.SwitchDone {
		t.Errorf("in generation %d: %+v", b.Generation, r)
	}

	w.prefer(`{"name":"elsewhere"}`)
	stalled := w.condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec)
	if !strings.Contains(stalled.Message, "no server of this side has this name; set name to one of its servers (cloud-1, cloud-2), or remove preferredServer") {
		t.Errorf("the condition says %q", stalled.Message)
	}

	released := time.Now()
	w.prefer("null")
	_, err = w.collector.WaitFrom(w.primary.Name, released, drainTimeout)
	must(t, err)
	w.event(v1alpha1.EventFailedBack)
	w.condition(v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary)
	w.flow(200)
	w.finish()
	if n := traffic.Compare(w.publisher.Ledger(), w.collector.Arrivals()).Duplicates; n > 0 {
		t.Errorf("%d messages arrived twice", n)
	}
	if now := w.pod().Name; now != pod {
		t.Errorf("pod %s was replaced by %s", pod, now)
	}
}

// prefer sets preferredServer of the remote side to a value in JSON.
func (w *world) prefer(value string) {
	w.t.Helper()
	w.kubectl("patch", "mqb", bridgeName, "--type=merge", "--patch", `{"spec":{"remote":{"preferredServer":`+value+`}}}`)
}
