// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// wantTakeover checks the reported takeover.
func wantTakeover(t *testing.T, b *v1alpha1.MQTTBridge, from, to, reason string, term int64, longest time.Duration) {
	t.Helper()
	got, r := b.Status.LastTakeover, b.Status.ActiveRunner()
	if got == nil || got.From != from || got.To != to || got.Reason != reason || got.Time.IsZero() || got.GapMilliseconds == nil {
		t.Fatalf("the takeover is %+v, want %s from %s to %s", got, reason, from, to)
	}
	if gap := time.Duration(*got.GapMilliseconds) * time.Millisecond; gap > longest {
		t.Errorf("the gap is %s", gap)
	}
	if r.Term == nil || *r.Term != term {
		t.Errorf("the active runner is %+v, want term %d", r, term)
	}
}

func TestCrew_Killed_StandbyTakesOverAndReports(t *testing.T) {
	c := newCrew(t)
	c.stream()
	c.runners[0].Kill()
	c.flow()
	wantTakeover(t, c.waitRoles("pod-b", ""), "pod-a", "pod-b", v1alpha1.TakeoverPeerEnded, 2, 2*time.Second)
	c.runners[0].Start()
	b := c.waitRoles("pod-b", "pod-a")
	c.judge(false)
	// In the steady state, nothing is reported.
	time.Sleep(2 * testLease)
	if now := c.stored(); now.ResourceVersion != b.ResourceVersion {
		t.Errorf("the bridge was changed from %+v to %+v", b.Status, now.Status)
	}
}

func TestCrew_Terminated_HandsOverAndLeavesTheReportAlone(t *testing.T) {
	c := newCrew(t)
	c.stream()
	if code, _ := c.runners[0].Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.flow()
	b := c.waitRoles("pod-b", "")
	wantTakeover(t, b, "pod-a", "pod-b", v1alpha1.TakeoverHandedOver, 2, time.Second)
	c.judge(true)
	if r := b.Status.ActiveRunner(); !r.StopTime.IsZero() {
		t.Errorf("%+v", r)
	}
	// Without a standby, the runner reports its end.
	if code, _ := c.runners[1].Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b = c.stored()
	ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	if r := b.Status.ActiveRunner(); r == nil || r.Pod != "pod-b" || r.StopTime.IsZero() || b.Status.Local.Active != nil || ready.Status != metav1.ConditionFalse {
		t.Errorf("%+v, %+v", b.Status.Runners, ready)
	}
}

// A Lease that is created again begins with the term 0, and the status has the report of a runner with a
// higher term.
func TestCrew_LeaseCreatedAgain_ReportsWithAHigherTerm(t *testing.T) {
	c := newCrew(t)
	for i, r := range c.runners {
		if code, _ := r.Terminate(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if i == 0 {
			c.waitRoles("pod-b", "")
		}
	}
	if r := c.stored().Status.ActiveRunner(); r == nil || r.Pod != "pod-b" || *r.Term != 2 {
		t.Fatalf("%+v", r)
	}
	c.recreateLease()
	for _, r := range c.runners {
		r.Start()
		r.WaitMember(func(m mqtttest.Member) bool { return m.Warm })
	}
	b := c.waitRoles("pod-a", "pod-b")
	if r := b.Status.ActiveRunner(); *r.Term < 3 {
		t.Errorf("%+v", r)
	}
	c.stream()
	c.judge(true)
}

func TestCrew_APIServerFrozen_ForwardsAndTakesOver(t *testing.T) {
	c := newCrew(t)
	c.stream()
	before := c.stored()
	c.link.BlackHole(true)
	time.Sleep(2 * testLease)
	c.flow()
	c.runners[0].Kill()
	c.flow()
	if now := c.stored(); now.ResourceVersion != before.ResourceVersion {
		t.Errorf("%+v", now.Status)
	}
	c.link.BlackHole(false)
	c.link.Cut()
	wantTakeover(t, c.waitRoles("pod-b", ""), "pod-a", "pod-b", v1alpha1.TakeoverPeerEnded, 2, 2*time.Second)
	c.judge(false)
}

func TestCrew_Annotation_RequestsOneHandOver(t *testing.T) {
	c := newCrew(t)
	c.stream()
	pods := []string{"pod-a", "pod-b"}
	for i := range 2 {
		c.apply(func(b *v1alpha1.MQTTBridge) {
			metav1.SetMetaDataAnnotation(&b.ObjectMeta, manifest.AnnotationHandOver, fmt.Sprint("request ", i))
		})
		b := c.waitRoles(pods[1-i], pods[i])
		wantTakeover(t, b, pods[i], pods[1-i], v1alpha1.TakeoverHandedOver, int64(i+2), time.Second)
		c.flow()
	}
	c.judge(true)
	time.Sleep(testLease)
	if err := checkRoles(&c.stored().Status, "pod-a", "pod-b"); err != nil {
		t.Error(err)
	}
}

// deleteBridge deletes the bridge, and waits until the active runner has done the work.
func (c *crew) deleteBridge(policy v1alpha1.DeletionPolicy) {
	c.t.Helper()
	c.apply(func(b *v1alpha1.MQTTBridge) {
		b.DeletionTimestamp, b.Spec.DeletionPolicy = ptr.To(metav1.Now()), &policy
	})
	c.waitReport("the deletion is complete", func(s *v1alpha1.MQTTBridgeStatus) error {
		if s.Deletion == nil || s.Deletion.State != v1alpha1.DeletionComplete {
			return fmt.Errorf("%+v", s.Deletion)
		}
		return checkRoles(s, "pod-a", "pod-b")
	})
}

func TestCrew_Deleted_OnlyTheActiveRunnerEndsTheSessions(t *testing.T) {
	c := newCrew(t)
	c.deleteBridge(v1alpha1.DeletionEndSessions)
	if log := c.runners[1].Log(); strings.Contains(log, "session has ended") {
		t.Error("the standby has ended sessions")
	}
	c.runners[1].WaitMember(func(m mqtttest.Member) bool { return m.State == mqtttest.MemberStandby })
	for i := range c.runners {
		if code, took := c.runners[1-i].Terminate(); code != 0 || took > 5*time.Second {
			t.Errorf("exit code %d after %s", code, took)
		}
	}
}

// When the bridge is deleted, the pods end almost at the same time. The standby, to which the active runner
// hands over, must not connect again: it would end before it has ended the next sessions.
func TestCrew_DrainedAndBothTerminated_LeavesNoSession(t *testing.T) {
	c := newCrew(t)
	c.stream()
	c.judge(true)
	c.deleteBridge(v1alpha1.DeletionDrain)
	c.runners[0].Stop()
	time.Sleep(50 * time.Millisecond)
	c.runners[1].Stop()
	for i, r := range c.runners {
		if code := r.Wait(); code != 0 {
			t.Errorf("runner %d: exit code %d", i, code)
		}
	}
	if s := c.stored().Status.Deletion; s == nil || s.State != v1alpha1.DeletionComplete || len(s.Sessions) > 0 {
		t.Errorf("the deletion is %+v", s)
	}
	if c.local.HasSession(c.bridge.WithDefaults().Spec.Local.ClientID) {
		t.Errorf("a session is left; the log of the standby:\n%s", c.runners[1].Log())
	}
}

func TestCrew_ServerAdded_StandbyIsWarmWhenItHasProbedIt(t *testing.T) {
	c := newCrew(t)
	silent := mqtttest.StartProxy(t, c.remote.Address(), 0)
	silent.BlackHole(true)
	c.apply(func(b *v1alpha1.MQTTBridge) {
		b.Spec.Remote.Backups = []v1alpha1.Server{{URL: silent.URL()}}
	})
	c.runners[1].WaitMember(func(m mqtttest.Member) bool { return !m.Warm })
	silent.BlackHole(false)
	c.waitRoles("pod-a", "pod-b")
}

func TestCrew_Frozen_StandbyAcquiresTheLease(t *testing.T) {
	c := newCrew(t)
	c.stream()
	c.runners[0].Freeze()
	wantTakeover(t, c.waitRoles("pod-b", ""), "pod-a", "pod-b", v1alpha1.TakeoverLeaseExpired, 2, testLease+3*time.Second)
	c.flow()
	c.runners[0].Thaw()
	c.waitRoles("pod-b", "pod-a")
	c.judge(false)
}
