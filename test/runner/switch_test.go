// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// failback configures a short failback of the remote side.
func failback(b *v1alpha1.MQTTBridge, probe, stable int32) {
	f := failover(b)
	f.Probe = &v1alpha1.Probe{IntervalSeconds: ptr.To(probe), TimeoutSeconds: ptr.To[int32](1)}
	f.Failback = &v1alpha1.Failback{StableSeconds: ptr.To(stable)}
}

// neverBack disables failback of the remote side.
func neverBack(b *v1alpha1.MQTTBridge) {
	failover(b).Failback = &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}
}

// prefer sets the preferred server of the remote side.
func (l *line) prefer(name string, force bool) {
	l.t.Helper()
	l.runner.Prefer(l.manifest, &l.manifest.Spec.Remote, &v1alpha1.PreferredServer{Name: name, Force: &force})
}

// requestSwitch requests a switch to a remote server and waits until the request is Done or
// Refused.
func (l *line) requestSwitch(name string) *v1alpha1.RequestedSwitch {
	l.t.Helper()
	l.prefer(name, false)
	return l.waitAnswer(name)
}

// waitAnswer waits until the latest request for a remote server is Done or Refused.
func (l *line) waitAnswer(name string) *v1alpha1.RequestedSwitch {
	l.t.Helper()
	return l.runner.WaitStatus(eventTimeout, "an answer to the request for "+name, func(s v1alpha1.MQTTBridgeStatus) error {
		r := s.Remote.RequestedSwitch
		if r == nil || r.Server != name || r.Generation != l.manifest.Generation || r.State == v1alpha1.SwitchPending {
			return fmt.Errorf("generation %d, %+v", l.manifest.Generation, r)
		}
		return nil
	}).Remote.RequestedSwitch
}

// withdraw removes the preferred server of the remote side, and waits until the runner has noticed
// it.
func (l *line) withdraw() {
	l.t.Helper()
	l.runner.Prefer(l.manifest, &l.manifest.Spec.Remote, nil)
	l.runner.WaitStatus(eventTimeout, "the status has no request", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote.RequestedSwitch != nil {
			return errors.New("the status has a request")
		}
		return nil
	})
}

// promisedGap is the longest time for which no server is active during a switch from a healthy
// server. The test compares it with the median of several switches.
const promisedGap = 50 * time.Millisecond

func checkGaps(t *testing.T, gaps []time.Duration) {
	t.Helper()
	slices.Sort(gaps)
	t.Logf("no server was active for %v", gaps)
	if median := gaps[len(gaps)/2]; median > promisedGap {
		t.Errorf("no server was active for %v, want at most %v", median, promisedGap)
	}
}

func TestRequestedSwitch_UnderLoad_LosesAndRepeatsNothing(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			l := newLine(t)
			neverBack(l.manifest)
			l.connect()
			l.stream(qos, 2000)
			var gaps []time.Duration
			for _, server := range []string{"backup-1", "primary", "backup-1"} {
				r := l.requestSwitch(server)
				if r.State != v1alpha1.SwitchDone {
					t.Fatalf("%+v", r)
				}
				s := l.runner.WaitActive(server, eventTimeout)
				f := s.Remote.LastFailover
				if f.To != server || f.Reason != v1alpha1.ReasonSwitchRequested || f.Drained == nil || *f.Resent != 0 {
					t.Errorf("%+v", f)
				}
				gaps = append(gaps, time.Duration(*f.DurationMilliseconds)*time.Millisecond)
				l.flow(1000)
			}
			onceEach(t, l.finish())
			checkGaps(t, gaps)
			if n := resent(l.runner); n > 0 {
				t.Errorf("%d messages were resent", n)
			}
		})
	}
}

func TestFailback_UnderLoad_LosesAndRepeatsNothing(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			l := newLine(t)
			failback(l.manifest, 1, 1)
			l.primary.Stop()
			l.runner = mqtttest.StartRunner(t, l.manifest)
			l.runner.WaitActive("backup-1", eventTimeout)
			l.stream(qos, 2000)
			var gaps []time.Duration
			for range measured {
				l.primary.Start()
				s := l.runner.WaitActive("primary", eventTimeout)
				f := s.Remote.LastFailover
				if f.From != "backup-1" || f.Reason != v1alpha1.ReasonFailedBack || *f.Resent != 0 {
					t.Errorf("%+v", f)
				}
				if e := s.Remote.Servers[1]; e.State != v1alpha1.ServerStandby {
					t.Errorf("the backup is %s, want Standby", e.State)
				}
				gaps = append(gaps, time.Duration(*f.DurationMilliseconds)*time.Millisecond)
				l.flow(1000)
				// Switch away from the primary by request, so that no message is repeated.
				l.requestSwitch("backup-1")
				l.runner.WaitActive("backup-1", eventTimeout)
				l.primary.Stop()
				l.withdraw()
				l.runner.WaitStatus(eventTimeout, "the primary fails", serverIs(0, v1alpha1.ServerFailed))
			}
			l.primary.Start() // so that the collector receives all messages
			onceEach(t, l.finish())
			checkGaps(t, gaps)
		})
	}
}

// serverIs returns a check of the state of a remote server.
func serverIs(place int, state v1alpha1.ServerState) func(v1alpha1.MQTTBridgeStatus) error {
	return func(s v1alpha1.MQTTBridgeStatus) error {
		if e := s.Remote.Servers[place]; e.State != state {
			return fmt.Errorf("%+v", e)
		}
		return nil
	}
}

func TestFailback_Never_StaysOnBackupUntilRequest(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	neverBack(l.manifest)
	failover(l.manifest).Probe = &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](1)}
	l.connect()
	l.stream(1, 500)
	l.primary.Kill()
	l.runner.WaitActive("backup-1", eventTimeout)
	l.primary.Start()
	l.runner.WaitStatus(eventTimeout, "the primary passes its probes", serverIs(0, v1alpha1.ServerStandby))
	l.flow(2000) // four seconds
	l.runner.WaitActive("backup-1", 0)
	if r := l.requestSwitch("primary"); r.State != v1alpha1.SwitchDone {
		t.Errorf("%+v", r)
	}
	l.runner.WaitActive("primary", eventTimeout)
	l.finish()
}

func TestRequestedSwitch_ServerFailsProbe_IsRefused(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	timeouts(l.manifest, 1, 10)
	l.connect()
	l.stream(1, 500)
	l.backup.Freeze() // accepts connections and does not answer
	since := l.runner.WaitActive("primary", eventTimeout).Remote.Active.Since
	for _, c := range []struct {
		force   bool
		message string
	}{
		{false, "the probe of the server failed, so the bridge does not switch (to switch without a probe, set preferredServer.force to true): "},
		{true, "the connection to the server failed, so the bridge does not switch (to repeat the request, remove preferredServer and set it again): "},
	} {
		l.prefer("backup-1", c.force)
		if r := l.waitAnswer("backup-1"); r.State != v1alpha1.SwitchRefused || !strings.HasPrefix(r.Message, c.message) {
			t.Errorf("with force %t: %+v", c.force, r)
		}
	}
	if s := l.runner.WaitActive("primary", eventTimeout); !s.Remote.Active.Since.Equal(&since) {
		t.Error("the bridge switched away from the primary")
	}
	l.backup.Thaw()
	l.withdraw()
	if r := l.requestSwitch("backup-1"); r.State != v1alpha1.SwitchDone {
		t.Errorf("%+v", r)
	}
	onceEach(t, l.finish())
}

// A refused request stays. The bridge switches to the preferred server when failback permits it.
func TestRequestedSwitch_RefusedServerBecomesStable_IsSwitchedTo(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	failback(l.manifest, 1, 1)
	l.connect()
	l.backup.Stop()
	if r := l.requestSwitch("backup-1"); r.State != v1alpha1.SwitchRefused {
		t.Fatalf("%+v", r)
	}
	l.backup.Start()
	s := l.runner.WaitActive("backup-1", eventTimeout)
	if f := s.Remote.LastFailover; f.Reason != v1alpha1.ReasonFailedBack {
		t.Errorf("%+v", f)
	}
}

func TestRequestedSwitch_UnknownServer_KeepsPreviousRequestUntilTheServerExists(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	neverBack(l.manifest)
	l.connect()
	first := l.requestSwitch("backup-1")
	l.prefer("nowhere", false)
	s := l.runner.WaitStatus(eventTimeout, "the manifest is refused", func(s v1alpha1.MQTTBridgeStatus) error {
		if r := s.Runners[0].Refused; r == nil || r.Generation != l.manifest.Generation ||
			!strings.Contains(r.Message, "no server of this side has this name; set name to one of its servers (primary, backup-1), or remove preferredServer") {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	if r := s.Remote.RequestedSwitch; r == nil || *r != *first || s.Remote.Active.Name != "backup-1" {
		t.Errorf("the request is %+v, want %+v; active: %+v", r, first, s.Remote.Active)
	}
	added := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "new"})
	l.manifest.Spec.Remote.Backups = append(l.manifest.Spec.Remote.Backups, v1alpha1.Server{Name: "new", URL: added.URL()})
	l.prefer("new", false)
	if s := l.runner.WaitActive("new", eventTimeout); s.Runners[0].Refused != nil || s.Runners[0].Generation != l.manifest.Generation {
		t.Errorf("%+v", s.Runners[0])
	}
}

func TestRequestedSwitch_SetBeforeStart_IsUsedFromTheStart(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Spec.Remote.PreferredServer = &v1alpha1.PreferredServer{Name: "backup-1"}
	l.runner = mqtttest.StartRunner(t, l.manifest)
	s := l.runner.WaitActive("backup-1", eventTimeout)
	if *s.Remote.Switches != 0 {
		t.Errorf("%d switches", *s.Remote.Switches)
	}
	if r := l.waitAnswer("backup-1"); r.State != v1alpha1.SwitchDone {
		t.Errorf("%+v", r)
	}
	l.withdraw()
}

func TestProbes_StandbyServers_ReportTheirState(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	failback(l.manifest, 1, 60)
	l.connect()
	l.backup.Stop()
	l.runner.WaitStatus(eventTimeout, "the backup fails its probe", func(s v1alpha1.MQTTBridgeStatus) error {
		if e := s.Remote.Servers[1]; e.State != v1alpha1.ServerFailed || e.LastError.Reason != v1alpha1.ReasonConnectionRefused {
			return fmt.Errorf("%+v", e)
		}
		return nil
	})
	l.backup.Start()
	s := l.runner.WaitStatus(eventTimeout, "the backup passes its probe", serverIs(1, v1alpha1.ServerStandby))
	if e := s.Remote.Servers[1]; e.LastError != nil {
		t.Errorf("%+v", e)
	}
	l.backup.Freeze()
	s = l.runner.WaitStatus(eventTimeout, "the backup is silent", serverIs(1, v1alpha1.ServerFailed))
	if e := s.Remote.Servers[1].LastError; e.Reason != v1alpha1.ReasonConnectTimeout || !strings.Contains(e.Message, "probe.timeoutSeconds") {
		t.Errorf("%+v", e)
	}
	l.backup.Thaw()
	passed := func() float64 {
		return l.runner.Metrics().Sum("mqttbridge_probes_total", "server=backup-1", "result=passed")
	}
	mqtttest.Eventually(t, eventTimeout, "probes are counted", func() error {
		if n := passed(); n < 2 {
			return fmt.Errorf("%v passed", n)
		}
		return nil
	})
}

// With staleSession Resume, the messages that a server queued while another server was active
// arrive when the bridge returns. With Discard they do not.
func TestStaleSession_QueuedMessages_AreResumedOrDiscarded(t *testing.T) {
	t.Parallel()
	for _, stale := range []v1alpha1.StaleSession{v1alpha1.StaleSessionResume, v1alpha1.StaleSessionDiscard} {
		t.Run(string(stale), func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			downToo(l.manifest)
			neverBack(l.manifest)
			failover(l.manifest).StaleSession = &stale
			l.connect()
			down := mqtttest.StartCollector(t, "down/#", "", l.local)
			publish := func(stream string) {
				p := mqtttest.StartPublisher(t, l.primary, traffic.PublisherConfig{Topic: "down/" + stream, Stream: stream, QoS: 1, Count: 10, Size: 64})
				must(t, p.WaitDone(eventTimeout))
			}
			arrived := func(stream string) (n int) {
				for _, a := range down.Arrivals() {
					if a.Stream == stream {
						n++
					}
				}
				return n
			}
			publish("before")
			must(t, down.WaitCount(10, eventTimeout))
			l.requestSwitch("backup-1")
			l.runner.WaitActive("backup-1", eventTimeout)
			publish("meanwhile")
			l.requestSwitch("primary")
			l.runner.WaitActive("primary", eventTimeout)
			publish("after")
			mqtttest.Eventually(t, eventTimeout, "the messages published afterwards arrive", func() error {
				if n := arrived("after"); n != 10 {
					return fmt.Errorf("%d messages arrived, want 10", n)
				}
				return nil
			})
			want := map[v1alpha1.StaleSession]int{v1alpha1.StaleSessionResume: 10}[stale]
			if n := arrived("meanwhile"); n != want {
				t.Errorf("%d messages published meanwhile arrived, want %d", n, want)
			}
			if n := arrived("before"); n != 10 {
				t.Errorf("%d messages published before arrived, want 10", n)
			}
		})
	}
}

func TestRequestedSwitch_LocalSide_Switches(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	second := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local-2"})
	l.manifest.Spec.Local.Backups = []v1alpha1.Server{{URL: second.URL()}}
	l.connect()
	l.runner.Prefer(l.manifest, &l.manifest.Spec.Local, &v1alpha1.PreferredServer{Name: "backup-1"})
	s := l.runner.WaitStatus(eventTimeout, "the local side is switched", func(s v1alpha1.MQTTBridgeStatus) error {
		if r := s.Local.RequestedSwitch; r == nil || r.State != v1alpha1.SwitchDone || s.Local.Active.Name != "backup-1" {
			return fmt.Errorf("%+v", s.Local)
		}
		return nil
	})
	if f := s.Local.LastFailover; f.From != "primary" || f.Reason != v1alpha1.ReasonSwitchRequested || s.Remote.LastFailover != nil {
		t.Errorf("local %+v, remote %+v", f, s.Remote.LastFailover)
	}
	p := mqtttest.StartPublisher(t, second, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 1, Count: 10, Size: 64})
	must(t, p.WaitDone(eventTimeout))
	must(t, l.collector.WaitAll(p.Ledger(), eventTimeout))
}

func TestSIGTERM_DuringSwitch_DeliversHeldMessages(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	timeouts(l.manifest, 60, 60)
	neverBack(l.manifest)
	l.connect()
	l.stream(1, 500)
	l.backup.Freeze() // accepts connections and does not answer
	l.prefer("backup-1", true)
	mqtttest.Eventually(t, eventTimeout, "messages wait for the switch", func() error {
		if n := held(l.runner); n < 500 {
			return fmt.Errorf("%v are held", n)
		}
		return nil
	})
	if code, took := l.runner.Terminate(); code != 0 || took > 5*time.Second {
		t.Errorf("the runner ended with %d after %v, want 0 within 5s", code, took)
	}
	l.backup.Thaw()
	l.runner.Start()
	onceEach(t, l.finish())
}
