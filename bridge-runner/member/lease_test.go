// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

func TestLease_TwoStart_OneIsActiveAndKnowsItsStandby(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	g.waitHolder(a, 1)
	if s := a.Status(); s.Term != 1 || s.Members[0].Pod != "pod-b" || s.Members[0].Node != "node-of-pod-b" || s.Members[0].Since.IsZero() {
		t.Errorf("the active member: %+v", s)
	}
	if s := b.Status(); s.Term != 0 {
		t.Errorf("the standby: %+v", s)
	}
	if err := a.Permit(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

func TestLease_HandOver_IsWrittenByTheNextMember(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	a.HandOver()
	a.want("drain", "deactivate")
	b.want("activate HandedOver from pod-a")
	g.waitHolder(b, 2)
	g.waitStandby(b, a)
	if s := a.Status(); s.Released || s.Term != 0 {
		t.Errorf("the member that has handed over: %+v", s)
	}
	g.unchanged(2*leaseDuration, a, b)
}

func TestLease_Shutdown_WithoutStandby_IsReleased(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a := g.add("pod-a")
	a.want("activate Started")
	g.waitHolder(a, 1)
	a.Shutdown()
	a.want("drain", "deactivate")
	if err := <-a.ended; err != nil || !a.Status().Released {
		t.Errorf("%v, %+v", err, a.Status())
	}
	if holder := g.stored().Spec.HolderIdentity; holder != nil {
		t.Errorf("%s holds the Lease", *holder)
	}
	b := g.add("pod-a") // the next process of the pod
	b.want("activate Started")
	g.waitHolder(b, 2)
	if n := len(g.stored().Annotations); n != 1 {
		t.Errorf("the Lease lists %d members", n)
	}
}

func TestLease_ActiveProcessEnds_StandbyTakesOverAndWritesAfterwards(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	began := time.Now()
	a.end()
	b.want("activate PeerEnded from pod-a")
	if took := time.Since(began); took > leaseDuration/2 {
		t.Errorf("the takeover took %s", took)
	}
	g.waitHolder(b, 2)
	next := g.add("pod-a")
	g.waitStandby(b, next)
	g.waitHolder(b, 2)
}

func TestLease_ActiveCutOffFromTheAPIServer_HandsOverAfterTheExpiry(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	began := time.Now()
	g.interrupt(0)
	a.want("drain", "deactivate")
	b.want("activate HandedOver from pod-a")
	if took := time.Since(began); took < leaseDuration/2 || took > leaseDuration+2*time.Second {
		t.Errorf("the hand-over came after %s", took)
	}
	g.waitHolder(b, 2)
	g.heal()
	g.waitStandby(b, a)
	g.unchanged(leaseDuration, a, b)
}

func TestLease_APIServerStopped_ChangesNothingAndProofSuffices(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	g.interrupt(0, 1)
	g.unchanged(3*leaseDuration, a, b)
	if err := a.Permit(t.Context(), "x"); err != nil { // the standby answers
		t.Error(err)
	}
	a.end()
	b.want("activate PeerEnded from pod-a")
	if err := b.Permit(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	g.unchanged(leaseDuration, b)
	if s := b.Status(); s.State != role.Active || s.Term != 0 {
		t.Errorf("while the API server is stopped: %+v", s)
	}
	g.heal()
	g.waitHolder(b, 2)
	b.waitStatus(func(s Status) bool { return s.Term == 2 })
}

// Otherwise the members would hand over to each other without an end.
func TestLease_APIServerRefusesWrites_ChangesNothing(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	g.refuses.Store(true)
	g.unchanged(3*leaseDuration, a, b)
	g.refuses.Store(false)
	a.waitStatus(func(s Status) bool { return s.Term == 1 })
	g.unchanged(2*leaseDuration, a, b)
	g.waitHolder(a, 1)
}

// The API server does not write an object that has not changed, so that such a write does not show whether it
// can write the Lease.
func TestLease_EntryIsWrittenAgain_IsStored(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a := g.add("pod-a")
	a.want("activate Started")
	a.waitStatus(func(s Status) bool { return s.Term == 1 })
	entry := func() string { return fmt.Sprint(g.stored().Annotations) }
	for before, end := entry(), time.Now().Add(timeout); entry() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the entry is still %s", before)
		}
		a.post(func() { a.store.carryOut(role.Join{}) })
	}
}

func TestLease_ActiveFrozen_StandbyAcquiresAndTheOtherStepsDown(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	frozen := make(chan struct{})
	go a.post(func() { <-frozen })
	b.want("activate LeaseExpired from pod-a")
	if !a.Frozen() {
		t.Error("the gate of the frozen member is open")
	}
	close(frozen)
	a.want("deactivate")
	g.waitHolder(b, 2)
	g.waitStandby(b, a)
}

// The members cannot reach each other, and their addresses refuse connections, as if their processes did not
// run.
func TestLease_AddressesRefuse_OnlyTheLeaseDecides(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.firewalled = true
	a := g.add("pod-a")
	a.want("activate Started")
	b := g.add("pod-b")
	b.waitStatus(func(s Status) bool { return s.State == role.Standby && s.Peer.Problem != "" })
	g.unchanged(3*leaseDuration, a, b)
	g.waitHolder(a, 1)
	a.end()
	b.want("activate LeaseExpired from pod-a")
	g.waitHolder(b, 2)
}

func TestLease_DeletedAndCreatedAgain_KeepsTheRolesAndTheTerm(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	if err := server.Client.Delete(t.Context(), g.object()); err != nil {
		t.Fatal(err)
	}
	g.unchanged(leaseDuration, a, b)
	g.create()
	g.waitHolder(a, 2)
	g.waitStandby(a, b)
	a.end()
	b.want("activate PeerEnded from pod-a")
	g.waitHolder(b, 3)
}

func TestLease_SteadyState_WritesRenewalsOnly(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a, b := g.addTwo()
	g.waitHolder(a, 1)
	time.Sleep(leaseDuration)
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		g.count(method)
	}
	const renewals = 9 // one for each third of the duration: with 15 seconds, 12 a minute
	g.unchanged(renewals*leaseDuration/3, a, b)
	if n := g.count(http.MethodPut); n < renewals-2 || n > renewals+1 {
		t.Errorf("%d writes, want %d", n, renewals)
	}
	if n := g.count(http.MethodGet); n > 0 {
		t.Errorf("%d reads", n)
	}
	if n := g.count(http.MethodPatch) + g.count(http.MethodPost); n > 0 {
		t.Errorf("%d other writes", n)
	}
}
