// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// While a bridge of a host drains, because its file was removed, the file may be added again. Then the
// group must reach the sessions of both.
func TestGroup_BridgeIsAddedAgainWhileItDrains_BothAreReached(t *testing.T) {
	g := aloneMember(t).members()
	g.Activate(member.Activation{})
	forward := func(name string) (*seat, *session.Gate) {
		s := g.add(name)
		gate := s.newGate()
		if a, _ := s.join(gate); a == nil {
			t.Fatal("the group is not active")
		}
		return s, gate
	}
	draining, first := forward("plant/a")
	_, second := forward("plant/a")
	_, other := forward("plant/b")
	wantGates(t, g, "plant/a", first, second)
	draining.unseat()
	wantGates(t, g, "plant/a", second)
	wantGates(t, g, "plant/b", other)
}

// wantGates fails unless the group reaches these gates of the bridges with a name.
func wantGates(t *testing.T, g *group, name string, want ...*session.Gate) {
	t.Helper()
	got := g.gatesOf(name)
	for _, gate := range want {
		if _, ok := got[gate]; !ok {
			t.Errorf("the group does not reach a gate of %s", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the group reaches %d gates of %s, want %d", len(got), name, len(want))
	}
}

// At a hand-over, bridges that have drained forward nothing. If no standby waits, there is no reason to hurry.
func TestGroup_BridgesDrainSlowly_OthersDoNotWaitForThemAtAHandOver(t *testing.T) {
	for name, tt := range map[string]struct {
		cause error
		ends  []time.Duration // after the beginning of the drain; the last bridge needs a minute
		want  time.Duration
	}{
		"one is slow":             {errHandOver, []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}, 20*time.Millisecond + slowDrain},
		"many end one by one":     {errHandOver, []time.Duration{time.Second / 2, time.Second, 3 * time.Second / 2}, 3*time.Second/2 + slowDrain},
		"all are slow":            {errHandOver, []time.Duration{}, time.Minute},
		"the process ends":        {errNoStandby, []time.Duration{10 * time.Millisecond}, time.Minute},
		"the slowest is not slow": {errHandOver, []time.Duration{time.Minute - slowDrain/2}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(nil, slog.New(slog.DiscardHandler))
				a := &activation{running: len(tt.ends) + 1}
				a.ctx, a.cancel = context.WithCancelCause(t.Context())
				began := time.Now()
				var drained time.Duration
				a.drained = func() { drained = time.Since(began) }
				a.cancel(tt.cause)
				for _, end := range append(tt.ends, time.Minute) {
					time.Sleep(end - time.Since(began))
					(&seat{group: g}).leave(a, nil)
				}
				synctest.Wait()
				if drained != tt.want {
					t.Errorf("the drain has ended after %s, want %s", drained, tt.want)
				}
			})
		})
	}
}

// A round of probes of the version before may end late.
func TestSeat_LateResultOfTheVersionBefore_IsIgnored(t *testing.T) {
	s := aloneMember(t).members().add("test/x")
	before := s.version()
	s.begin()
	s.setWarm(before, true)
	if s.warm {
		t.Error("the result counts for the next version")
	}
	s.setWarm(s.version(), true)
	if !s.warm {
		t.Error("the result of the present version does not count")
	}
}

// aloneMember returns a member that does not run yet. The other machine refuses connections.
func aloneMember(t *testing.T) *membership {
	t.Helper()
	own, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	cfg := member.Config{Certificate: own, Trusted: "another key", Address: mqtttest.FreeAddress(t)}
	p, err := join(&cfg, "--peer", "127.0.0.1:0", report.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.listener.Close() })
	return p
}

// activeMember returns a running member, its only bridge, and the activation that the bridge has joined with a gate. The
// test leaves the activation, and waits for the end of the member.
func activeMember(t *testing.T) (p *membership, s *seat, gate *session.Gate, a *activation) {
	t.Helper()
	p = aloneMember(t)
	g := p.members()
	s = g.add("test/x")
	g.allAdded()
	p.start(t.Context())
	gate = s.newGate()
	mqtttest.Eventually(t, testTimeout, "the member is active", func() error {
		if a, _ = s.join(gate); a == nil {
			return fmt.Errorf("%+v", g.member.Status())
		}
		return nil
	})
	return p, s, gate, a
}

// The attempts of a version of an earlier activation may wait for a permission. They must not use the sessions of the
// next activation: their knowledge of these sessions is not valid any more.
func TestActivate_AttemptOfAnEarlierActivationIsPermitted_WritesNoConnect(t *testing.T) {
	g := aloneMember(t).members()
	s := g.add("test/x")
	gate := s.newGate()
	waits, permitted := make(chan struct{}), make(chan struct{})
	gate.Frozen = func() bool { return false } // the member does not run
	gate.Permit = func(context.Context) error {
		close(waits)
		<-permitted
		return nil
	}
	g.Activate(member.Activation{})
	if a, _ := s.join(gate); a == nil {
		t.Fatal("the group is not active")
	}
	server := script.Listen(t, byte(packet.V5))
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := session.Open(ctx, session.Config{
			Transport: transport.Config{HostPort: server.Addr()}, Version: packet.V5, ClientID: "x", Window: 10, State: session.NewState(), Gate: gate,
		})
		failed <- err
	}()
	<-waits
	g.Deactivate()
	g.Activate(member.Activation{})
	g.Resume("test/x")
	close(permitted)
	if err := <-failed; !session.IsNotPermitted(err) {
		t.Errorf("the attempt ends with %v, want that it is not permitted", err)
	}
}

// The first report after a takeover must not have the takeover before, which the operator would report
// again.
func TestActivate_TakeoverAfterAnEarlierOne_ForgetsTheEarlierOne(t *testing.T) {
	for cause, want := range map[member.Cause]bool{member.HandedOver: false, member.PeerEnded: false, member.Confirmed: true} {
		g := aloneMember(t).members()
		st := report.NewState(manifestOf("test", "x", "mqtt://r.example", "").MQTTBridge, report.Runner(), report.NewMetrics())
		g.reportTo(st)
		st.SetTakeover(&v1alpha1.TakeoverRecord{From: "pod-2", Reason: v1alpha1.TakeoverHandedOver})
		g.Activate(member.Activation{Cause: cause})
		if got := st.Status().LastTakeover; (got != nil) != want {
			t.Errorf("%s: the latest takeover is %+v", cause, got)
		}
	}
}

// A runner may become active before its first round of probes. It forwards, and then has nothing to probe.
func TestActivate_BeforeTheServersAreProbed_MemberIsWarm(t *testing.T) {
	p := aloneMember(t)
	g := p.members()
	g.add("test/x")
	g.allAdded()
	ctx, cancel := context.WithCancel(t.Context())
	p.start(ctx)
	mqtttest.Eventually(t, testTimeout, "the active member is warm", func() error {
		if s := g.member.Status(); s.State != activeState || !s.Warm {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	cancel()
	if err := p.wait(); err != nil {
		t.Error(err)
	}
}

// After a takeover of many bridges, some begin after more than a second. Without the knowledge of the other member, they
// would release all packet identifiers, and slow the others down.
func TestActivation_BridgeBeginsLate_KnowledgeIsTrusted(t *testing.T) {
	const late = 5 * time.Second
	for heard, want := range map[time.Duration]bool{10 * time.Millisecond: true, 2 * time.Second: false} {
		a := activate(t, member.Activation{Cause: member.PeerEnded, HeardAt: time.Now().Add(-heard)})
		a.at, a.HeardAt = a.at.Add(-late), a.HeardAt.Add(-late)
		if got := a.sawEnd(); got != want {
			t.Errorf("heard %s before the activation: the knowledge is trusted: %t, want %t", heard, got, want)
		}
	}
}

// activate makes a process active, and returns the activation.
func activate(t *testing.T, began member.Activation) *activation {
	t.Helper()
	g := aloneMember(t).members()
	g.Activate(began)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current
}

// If another client takes a session over, another member may forward. Then the bridge must not write by its
// other sessions either, until the member knows more.
func TestGroup_SessionIsTakenOver_EndsTheOtherSessionsOfTheBridge(t *testing.T) {
	p, s, gate, a := activeMember(t)
	taken, takenServer := openSession(t, gate)
	other, _ := openSession(t, gate)
	takenServer.Send(script.Packet{Type: v5.DISCONNECT, Code: session.CodeSessionTakenOver})
	<-taken.Done()
	s.sessionEnded(taken)
	select {
	case <-other.Done():
		if err := other.Err(); !session.IsNotPermitted(err) {
			t.Errorf("the other session ends with %v", err)
		}
	case <-time.After(testTimeout):
		t.Error("the other session continues")
	}
	s.leave(a, gate)
	if err := p.wait(); err != nil {
		t.Error(err)
	}
}

// openSession opens a session of a bridge with a gate, and returns the server's end of it.
func openSession(t *testing.T, gate *session.Gate) (*session.Session, *script.Conn) {
	t.Helper()
	server := script.Listen(t, byte(packet.V5))
	opened := make(chan *session.Session, 1)
	go func() {
		s, err := session.Open(t.Context(), session.Config{
			Transport: transport.Config{HostPort: server.Addr()}, Version: packet.V5, ClientID: "x", Window: 10, State: session.NewState(), Gate: gate,
			KeepAlive: time.Minute, PingTimeout: time.Minute, AckTimeout: time.Minute,
		})
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	conn := server.Accept()
	conn.Send(script.Connack(false, nil))
	s := <-opened
	if s == nil {
		t.FailNow()
	}
	s.Start(idle{}) // the server sends no messages
	return s, conn
}

// idle is the handler of a session without messages from its server.
type idle struct{ session.Handler }

func (idle) Ready() {}
