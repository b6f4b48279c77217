// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestKubernetes_MemberOfAGroup_ReportsOnlyWithAWrittenClaim(t *testing.T) {
	standby := []v1alpha1.RunnerStatus{{Pod: "pod-2", Role: v1alpha1.RunnerStandby, Since: metav1.Now(), Warm: ptr.To(true)}}
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(http.StatusOK)
		st, stop := reporting(t, api)
		defer stop()
		st.SetGroup(Group{})
		st.SetStandby(true)
		for _, step := range []struct {
			what   string
			change func()
			want   int // reports
		}{
			{"a standby", func() {}, 0},
			{"active without a write", func() { st.SetStandby(false) }, 0},
			{"the claim is written", func() { st.SetGroup(Group{Term: 4, Standbys: standby}) }, 1},
			{"the same again", func() { st.SetGroup(Group{Term: 4, Standbys: standby}) }, 0},
			{"a takeover", func() { st.SetTakeover(&v1alpha1.TakeoverRecord{From: "pod-2", Reason: v1alpha1.TakeoverHandedOver}) }, 1},
			{"another member has the Lease", func() { st.SetGroup(Group{}); st.SetStandby(true) }, 0},
			{"a change meanwhile", func() { st.SetGeneration(7) }, 0},
			{"active again", func() { st.SetGroup(Group{Term: 6, Standbys: standby}); st.SetStandby(false) }, 1},
		} {
			before := len(api.reports())
			step.change()
			time.Sleep(2 * checkInterval)
			if got := len(api.reports()) - before; got != step.want {
				t.Errorf("%s: %d reports, want %d", step.what, got, step.want)
			}
		}
		got := api.status()
		if r := got.ActiveRunner(); len(got.Runners) != 2 || r.Pod != "pod-1" || *r.Term != 6 || got.Runners[1].Pod != "pod-2" || !*got.Runners[1].Warm {
			t.Errorf("reported: %+v", got.Runners)
		}
		if got.LastTakeover == nil || got.LastTakeover.From != "pod-2" || got.LastTakeover.To != "pod-1" {
			t.Errorf("reported: %+v", got.LastTakeover)
		}
	})
}

// The Lease begins with the term 0 if it is created again.
func TestKubernetes_ReportRefusedBecauseOfItsTerm_PassesTheTermOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(http.StatusOK)
		api.last.Runners = []v1alpha1.RunnerStatus{{Pod: "pod-2", Role: v1alpha1.RunnerActive, Term: ptr.To[int64](5)}}
		api.refuses = func(s *v1alpha1.MQTTBridgeStatus) bool { return ptr.Deref(s.Runners[0].Term, 0) < 5 }
		var found []int64
		var st *State
		st, stop := reportingWith(t, api, func(term int64) {
			found = append(found, term)
			st.SetGroup(Group{Term: term + 1})
		})
		defer stop()
		st.SetGroup(Group{Term: 1})
		time.Sleep(time.Minute)
		stored := api.status()
		if r := stored.ActiveRunner(); r.Pod != "pod-1" || *r.Term != 6 || !slices.Equal(found, []int64{5}) {
			t.Errorf("%+v, found %d", r, found)
		}
	})
}

func TestLast_MemberOfAGroup_ReportsItsEndOnlyWithoutSuccessor(t *testing.T) {
	for name, tt := range map[string]struct {
		end  Group
		want bool
	}{
		"the Lease is released":    {Group{Ended: true}, true},
		"another member is active": {Group{}, false},
	} {
		st := newState(t)
		st.SetGroup(Group{Term: 3})
		st.SetGroup(tt.end)
		st.SetStandby(true) // its activation has ended
		st.Stopped()
		status, ok := st.lastReport()
		if ok != tt.want {
			t.Errorf("%s: reports: %t", name, ok)
		}
		if r := status.Runners[0]; r.Role != v1alpha1.RunnerActive || *r.Term != 3 || r.StopTime.IsZero() {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestSetGroup_ManyStandbys_FitIntoTheStatus(t *testing.T) {
	st := newState(t)
	var many []v1alpha1.RunnerStatus
	for i := range 20 {
		many = append(many, v1alpha1.RunnerStatus{Pod: fmt.Sprint("pod-", i+2)})
	}
	st.SetGroup(Group{Term: 1, Standbys: many})
	if n := len(st.Status().Runners); n != maxRunners {
		t.Errorf("%d runners", n)
	}
}
