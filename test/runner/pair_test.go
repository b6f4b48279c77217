// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// The measurements of two runners are in test/takeovers.

// startPair makes two runners serve the bridge of the line, and starts a stream. The first runner is
// active.
func (l *line) startPair(server string) *mqtttest.Pair {
	l.t.Helper()
	pair := mqtttest.NewPair(l.t, l.manifest, false)
	pair.Start()
	l.runner = pair.Runners[0]
	l.runner.WaitActive(server, eventTimeout)
	l.stream(2, 100)
	return pair
}

func TestPair_Standby_SaysSoAndIsReady(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	standby := l.startPair("primary").Runners[1]
	s, err := standby.Status()
	must(t, err)
	ready := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != v1alpha1.ReasonStandby || s.Local.Active != nil || s.Remote.Active != nil {
		t.Errorf("the status of the standby is %+v", s)
	}
	if code := standby.Probe("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz of the standby answers %d", code)
	}
	if n := standby.Metrics().Sum("mqttbridge_probes_total"); n < 3 {
		t.Errorf("the standby has made %v probes, want one of each server", n)
	}
	onceEach(t, l.finish())
}

// The sum over the members of a group is the number of members that forward, for an alert.
func TestPair_RolesChange_SumOfActiveIsOne(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	pair := l.startPair("primary")
	wantOne := func(active int) {
		t.Helper()
		pair.WaitRoles(active)
		for i, r := range pair.Runners {
			if got, want := r.Metrics().Sum("mqttbridge_member_active"), map[bool]float64{true: 1}[i == active]; got != want {
				t.Errorf("runner %d: mqttbridge_member_active is %v, want %v", i, got, want)
			}
		}
	}
	wantOne(0)
	pair.Runners[0].HandOver()
	wantOne(1)
	pair.Runners[1].Kill()
	pair.Runners[1].Start()
	wantOne(0)
	pair.Runners[0].Freeze()
	pair.Runners[1].TakeOver()
	pair.Runners[1].WaitMember(func(m mqtttest.Member) bool { return m.State == mqtttest.MemberActive })
	pair.Runners[0].Thaw()
	wantOne(1)
	l.runner = pair.Runners[1]
	l.finish()
}

func TestPair_PrimaryDoesNotAnswer_StandbyBeginsWithTheServerInUse(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.far(0).BlackHole(true)
	timeouts(l.manifest, 5, 5)
	pair := l.startPair("backup-1")
	l.runner.Kill()
	next := pair.Runners[1]
	next.WaitActive("backup-1", 2*eventTimeout)
	// An attempt to connect to the primary would have failed before.
	for entry := range strings.Lines(next.Log()) {
		if strings.Contains(entry, `msg="connection failed"`) {
			t.Errorf("the standby has tried another server first: %s", entry)
		}
	}
	l.flow(50)
	l.finish()
}

// A client with the bridge's identifier ends its session, as another active runner would. The standby is
// not active, so that the runner connects again.
func TestPair_SessionTakenOverByAnotherClient_ConnectsAgain(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	pair := l.startPair("primary")
	s, err := l.runner.Status()
	must(t, err)
	for range 3 {
		l.primary.HasSession(s.Remote.ClientID)
		l.flow(50)
	}
	pair.WaitRoles(0)
	for i, want := range []float64{1, 0} {
		if n := pair.Runners[i].Metrics().Sum("mqttbridge_member_activations_total"); n != want {
			t.Errorf("runner %d became active %v times, want %v", i, n, want)
		}
	}
	l.finish()
}

// Without --peer-timeout, a frozen runner proves nothing. A user can decide.
func TestPair_ActiveFrozenWithoutTimeout_StandbyTakesOverByHandOnly(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	pair := l.startPair("primary")
	frozen, standby := pair.Runners[0], pair.Runners[1]
	frozen.Freeze()
	time.Sleep(5 * time.Second) // no event can be awaited: the test shows that nothing happens
	if m, err := standby.Member(); err != nil || m.State != mqtttest.MemberStandby {
		t.Errorf("the standby is %+v (%v)", m, err)
	}
	standby.TakeOver()
	l.flow(50)
	frozen.Thaw()
	pair.WaitRoles(1)
	l.flow(50)
	l.finish()
}

// Otherwise a hand-over would interrupt the bridge.
func TestPair_StandbyDoesNotReachTheServerInUse_IsNotWarm(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Spec.Remote.Primary.Name = "primary"
	pair := l.startPair("primary")
	standby := pair.Runners[1]
	other := l.manifest.DeepCopy()
	other.Spec.Remote.Primary.URL = "mqtt://127.0.0.1:1" // its host refuses
	standby.Update(other)
	standby.WaitMember(func(m mqtttest.Member) bool { return !m.Warm })
	if code := standby.Probe("/readyz"); code == http.StatusOK {
		t.Error("the standby is ready")
	}
	l.runner.WaitMember(func(m mqtttest.Member) bool { return !m.Peer.Warm })
	l.runner.HandOver()
	l.flow(100)
	if m, err := l.runner.Member(); err != nil || m.State != mqtttest.MemberActive {
		t.Errorf("the runner is %+v (%v), want it active", m, err)
	}
	l.manifest.Generation = other.Generation
	standby.Update(l.manifest)
	pair.WaitRoles(0)
	l.runner.HandOver()
	pair.WaitRoles(1)
	l.flow(50)
	onceEach(t, l.finish())
}

// A runner that was frozen continues with the server that it used, and not with the server that the other
// runner used when that one was active.
func TestPair_FrozenAndContinued_KeepsTheServerInUse(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	failback(l.manifest, 1, 1)
	l.primary.Stop()
	pair := l.startPair("backup-1")
	l.runner.HandOver()
	pair.WaitRoles(1)
	l.runner = pair.Runners[1]
	l.runner.WaitActive("backup-1", eventTimeout)
	l.primary.Start()
	l.runner.WaitActive("primary", eventTimeout)
	const connected = `msg=connected side=remote server=backup-1`
	before := strings.Count(l.runner.Log(), connected)
	if before == 0 {
		t.Fatalf("the log does not have %q:\n%s", connected, l.runner.Log())
	}
	l.runner.Freeze()
	time.Sleep(2500 * time.Millisecond) // longer than a freeze that is not noticed
	l.runner.Thaw()
	l.flow(100)
	pair.WaitRoles(1)
	if n := l.runner.Metrics().Sum(`mqttbridge_member_activations_total`); n != 2 {
		t.Errorf("the runner became active %v times, want 2: it was frozen", n)
	}
	if n := strings.Count(l.runner.Log(), connected); n != before {
		t.Errorf("the runner has connected to the backup, although it used the primary:\n%s", l.runner.Log())
	}
	l.finish()
}
