// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

const timeout = 20 * time.Second

// machine is a member whose bridges record the calls of the driver.
type machine struct {
	*Member
	t        *testing.T
	listener net.Listener
	calls    chan string
	ended    chan error
}

// Activate also names the pod that was active before. Without a Lease, this is a key.
func (x *machine) Activate(a Activation) {
	call := "activate " + string(a.Cause)
	if x.store != nil && a.From != "" {
		call += " from " + a.From
	}
	x.calls <- call
}
func (x *machine) Deactivate()           { x.calls <- "deactivate" }
func (x *machine) Suspend(bridge string) { x.calls <- "suspend " + bridge }
func (x *machine) Resume(bridge string)  { x.calls <- "resume " + bridge }
func (x *machine) Drain(done func()) {
	x.calls <- "drain"
	go done()
}

// end ends the process without a hand-over.
func (x *machine) end() {
	x.t.Helper()
	_ = x.listener.Close()
	x.want("deactivate")
	x.t.Log("the member has ended: ", <-x.ended)
}

// want waits for these calls in this order.
func (x *machine) want(calls ...string) {
	x.t.Helper()
	for _, want := range calls {
		select {
		case got := <-x.calls:
			if got != want {
				x.t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(timeout):
			x.t.Fatalf("missing: %q; the status is %+v", want, x.Status())
		}
	}
}

// waitStatus waits until ok returns true for the status.
func (x *machine) waitStatus(ok func(Status) bool) {
	x.t.Helper()
	for end := time.Now().Add(timeout); !ok(x.Status()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatalf("the status is %+v", x.Status())
		}
	}
}

// newMachines returns two members. The first one is preferred. They do not run yet.
func newMachines(t *testing.T) (a, b *machine) {
	t.Helper()
	return newMachinesWith(t, true, false)
}

// newMachinesWith is like newMachines. preferred says which members are preferred.
func newMachinesWith(t *testing.T, preferred ...bool) (a, b *machine) {
	t.Helper()
	out := [2]*machine{}
	cfgs := [2]Config{}
	for i := range out {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		out[i] = &machine{t: t, listener: listener, calls: make(chan string, 100), ended: make(chan error, 1)}
		certificate, err := peer.NewCertificate()
		if err != nil {
			t.Fatal(err)
		}
		cfgs[i] = Config{Certificate: certificate, Preferred: preferred[i], Bridges: out[i], OnChange: func(Status) {}, Log: slog.New(slog.DiscardHandler)}
	}
	for i, x := range out {
		trusted, err := peer.FingerprintOf(cfgs[1-i].Certificate)
		if err != nil {
			t.Fatal(err)
		}
		cfgs[i].Trusted, cfgs[i].Address = trusted, out[1-i].listener.Addr().String()
		if x.Member, err = New(cfgs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out[0], out[1]
}

func (x *machine) run() {
	go func() { x.ended <- x.Run(x.listener) }()
	x.SetWarm(true)
	x.t.Cleanup(x.Shutdown)
}

// runBoth runs two members until the first one is active and knows its warm standby.
func runBoth(t *testing.T) (a, b *machine) {
	t.Helper()
	a, b = newMachines(t)
	a.run()
	b.run()
	a.want("activate Started")
	a.waitStatus(func(s Status) bool { return s.Peer.State == role.Standby })
	b.waitStatus(func(s Status) bool { return s.State == role.Standby && s.Warm && s.Peer.State == role.Active })
	return a, b
}

func TestMember_HandOver_DrainsBeforeTheOtherActivates(t *testing.T) {
	a, b := runBoth(t)
	a.HandOver()
	a.want("drain", "deactivate")
	b.want("activate HandedOver")
	a.waitStatus(func(s Status) bool { return s.State == role.Standby && s.Peer.State == role.Active })
}

func TestMember_Shutdown_HandsOverAndEnds(t *testing.T) {
	a, b := runBoth(t)
	a.Shutdown()
	a.want("drain", "deactivate")
	b.want("activate HandedOver")
	if err := <-a.ended; err != nil {
		t.Error(err)
	}
	b.waitStatus(func(s Status) bool { return s.State == role.Active && !s.Peer.Connected })
}

func TestMember_ListenerFails_EndsItsSessionsAndTheOtherTakesOver(t *testing.T) {
	a, b := runBoth(t)
	_ = a.listener.Close()
	a.want("deactivate")
	if err := <-a.ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
	b.want("activate PeerEnded")
}

// The other member has dialled, so that no attempt of this member has succeeded.
func TestStatus_OtherMemberHasDialled_HasNoProblem(t *testing.T) {
	a, b := newMachines(t)
	directory, ok := a.directory.(*otherMachine)
	if !ok {
		t.Fatalf("%T", a.directory)
	}
	directory.address = mqtttest.FreeAddress(t)
	a.run()
	a.want("activate Started")
	a.waitStatus(func(s Status) bool { return s.Peer.Problem != "" && !s.Peer.Connected })
	b.run()
	a.waitStatus(func(s Status) bool { return s.Peer.Problem == "" && s.Peer.Connected })
}

// The active process was killed, and its machine has started it again before the standby has dialled. The
// preferred standby asks the new process first.
func TestMember_PeerStartedAgain_CauseIsTheEndOfTheEarlierProcess(t *testing.T) {
	a, b := runBoth(t)
	a.HandOver()
	a.want("drain", "deactivate")
	b.want("activate HandedOver")
	a.waitStatus(func(s Status) bool { return s.State == role.Standby && s.Peer.State == role.Active })
	next := &machine{t: t, calls: make(chan string, 100), ended: make(chan error, 1)}
	cfg := b.cfg
	cfg.Bridges = next
	var err error
	if next.Member, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if next.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	next.run()
	b.endpoint.Close() // the end of its connections, which the standby may read after the hello of the next process
	a.want("activate PeerEnded")
}

func TestMember_PeerDoesNotRun_Activates(t *testing.T) {
	a, b := newMachines(t)
	_ = a.listener.Close() // its host refuses
	b.run()
	b.want("activate Started")
	if err := b.Permit(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

func TestPermit_Standby_WaitsForTheContext(t *testing.T) {
	_, b := runBoth(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Permit(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Permit: %v", err)
	}
}

func TestFrozen_ProcessDidNotRun_BlocksUntilTheMachineHasProcessedIt(t *testing.T) {
	a, _ := runBoth(t)
	blocked := make(chan bool)
	a.post(func() { // as if the process were frozen here
		a.tickedAt.Store(int64(uptime() - a.role.FreezeLimit()))
		blocked <- a.Frozen()
	})
	if !<-blocked {
		t.Error("the gate is open")
	}
	a.want("deactivate", "activate Confirmed")
	if a.Frozen() {
		t.Error("the gate stays closed")
	}
}

func TestKnowledge_ActiveMember_PassesItOn(t *testing.T) {
	a, b := runBoth(t)
	a.SetKnowledge(&peer.Knowledge{Bridge: "x", Sides: map[string]peer.SideKnowledge{"remote": {Active: "backup"}}})
	for end := time.Now().Add(timeout); b.Knowledge("x") == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the knowledge has not arrived")
		}
	}
	if got := b.Knowledge("x").Sides["remote"].Active; got != "backup" {
		t.Errorf("the active server is %q", got)
	}
}

func TestNew_OneKeyPairForBothMachines_IsRefused(t *testing.T) {
	certificate, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	own, err := peer.FingerprintOf(certificate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Certificate: certificate, Trusted: own}); !errors.Is(err, errSameKey) {
		t.Errorf("New: %v", err)
	}
}

func TestIdentity_ID_SurvivesTheProtocol(t *testing.T) {
	for _, id := range []role.ID{{}, {Pod: "a", Process: "b"}} {
		if got := parseIdentity(identity(id)); got != id {
			t.Errorf("%+v became %+v", id, got)
		}
	}
}

func TestMember_BothOrNonePreferred_OneIsTreatedAsPreferred(t *testing.T) {
	for _, preferred := range []bool{true, false} {
		a, b := newMachinesWith(t, preferred, preferred)
		a.run()
		b.run()
		for _, x := range []*machine{a, b} {
			x.waitStatus(func(s Status) bool { return s.Problem != "" && s.Peer.Connected && s.State != role.Starting })
		}
		standby := b
		if b.role.Self.Pod < a.role.Self.Pod {
			standby = a
		}
		standby.waitStatus(func(s Status) bool { return s.State == role.Standby && s.Peer.State == role.Active })
	}
}

// Otherwise a member would not know when the other one becomes active without contact, and both would be
// active.
func TestMember_DifferentTimeouts_BothUseTheLongerOne(t *testing.T) {
	for name, tt := range map[string]struct{ a, b, want time.Duration }{
		"both set":     {3 * time.Second, 10 * time.Second, 10 * time.Second},
		"one waits":    {0, 3 * time.Second, 0},
		"the same one": {4 * time.Second, 4 * time.Second, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var timeouts []time.Duration
			a, b := newMachinesWith(t, true, false)
			for x, timeout := range map[*machine]time.Duration{a: tt.a, b: tt.b} {
				x.cfg.Timeout = timeout
				var err error
				if x.Member, err = New(x.cfg); err != nil {
					t.Fatal(err)
				}
				x.run()
			}
			for _, x := range []*machine{a, b} {
				x.waitStatus(func(s Status) bool { return s.Peer.Connected && (s.Problem != "") == (tt.a != tt.b) })
				used := make(chan time.Duration)
				x.post(func() { used <- x.machine.Timeout() })
				timeouts = append(timeouts, <-used)
			}
			if timeouts[0] != tt.want || timeouts[1] != tt.want {
				t.Errorf("the members use %s; the problem is %q", timeouts, a.Status().Problem)
			}
		})
	}
}

func TestTimeout_OtherMemberOfAnEarlierVersion_UsesTheOwnOne(t *testing.T) {
	m := &Member{cfg: Config{Timeout: 3*time.Second + time.Microsecond}}
	if timeout, problem := m.timeout(&peer.Hello{}); timeout != m.cfg.Timeout || problem != "" {
		t.Errorf("the timeout is %s; %s", timeout, problem)
	}
	millis := m.cfg.Timeout.Milliseconds()
	if timeout, problem := m.timeout(&peer.Hello{TimeoutMillis: &millis}); timeout != m.cfg.Timeout || problem != "" {
		t.Errorf("with the same one, the timeout is %s; %s", timeout, problem)
	}
}

// counter counts the records of a log with a message.
type counter struct {
	slog.Handler
	message string
	count   atomic.Int32
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) Handle(_ context.Context, r slog.Record) error {
	if r.Message == c.message {
		c.count.Add(1)
	}
	return nil
}

// If both members dial at the same time, one connection remains, and they do not dial again. On a busy machine,
// one of them may dial once more.
func TestMember_BothDialAtOnce_OneConnectionRemains(t *testing.T) {
	for range 10 {
		a, b := newMachines(t)
		connected := &counter{message: "connected to the other member"}
		a.cfg.Log, b.cfg.Log = slog.New(connected), slog.New(slog.DiscardHandler)
		a.run()
		b.run()
		a.want("activate Started")
		a.waitStatus(func(s Status) bool { return s.Peer.State == role.Standby })
		time.Sleep(300 * time.Millisecond) // longer than the interval of dials
		if n := connected.count.Load(); n > 3 {
			t.Errorf("the members have connected %d times", n)
		}
	}
}
