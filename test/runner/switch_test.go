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

// failback has the remote side go back soon.
func failback(b *v1alpha1.MQTTBridge, probe, stable int32) {
	f := failover(b)
	f.Probe = &v1alpha1.Probe{IntervalSeconds: ptr.To(probe), TimeoutSeconds: ptr.To[int32](1)}
	f.Failback = &v1alpha1.Failback{StableSeconds: ptr.To(stable)}
}

// neverBack has the remote side stay where it is.
func neverBack(b *v1alpha1.MQTTBridge) {
	failover(b).Failback = &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}
}

// request asks for a remote server and waits until that is Done or Refused.
func (l *line) request(text string) *v1alpha1.RequestedSwitch {
	l.t.Helper()
	l.runner.Annotate(l.manifest, v1alpha1.AnnotationSwitchRemote, text)
	return l.answered(text)
}

func (l *line) answered(text string) *v1alpha1.RequestedSwitch {
	l.t.Helper()
	return l.runner.WaitStatus(soon, "an answer to the request "+text, func(s v1alpha1.MQTTBridgeStatus) error {
		if r := s.Remote.RequestedSwitch; r == nil || r.Request != text || r.State == v1alpha1.SwitchPending {
			return fmt.Errorf("%+v", r)
		}
		return nil
	}).Remote.RequestedSwitch
}

// promisedGap is for how long no server takes messages where one is left for another
// that has not failed. Of several switches, the middle one is held to the promise.
const promisedGap = 50 * time.Millisecond

func checkGaps(t *testing.T, gaps []time.Duration) {
	t.Helper()
	slices.Sort(gaps)
	t.Logf("no server took messages for %v", gaps)
	if median := gaps[len(gaps)/2]; median > promisedGap {
		t.Errorf("no server took messages for %v, want at most %v", median, promisedGap)
	}
}

func TestARequestedSwitchUnderLoadLosesAndRepeatsNothing(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			l := newLine(t)
			neverBack(l.manifest)
			l.connect()
			l.stream(qos, 2000)
			var gaps []time.Duration
			for _, server := range []string{"backup-1", "primary", "backup-1"} {
				r := l.request(server)
				if r.State != v1alpha1.SwitchDone {
					t.Fatalf("%+v", r)
				}
				s := l.runner.WaitActive(server, soon)
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
				t.Errorf("%d messages were sent again", n)
			}
		})
	}
}

func TestFailbackUnderLoadLosesAndRepeatsNothing(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			l := newLine(t)
			failback(l.manifest, 1, 1)
			l.primary.Stop()
			l.runner = mqtttest.StartRunner(t, l.manifest)
			l.runner.WaitActive("backup-1", soon)
			l.stream(qos, 2000)
			var gaps []time.Duration
			for range measured {
				l.primary.Start()
				s := l.runner.WaitActive("primary", soon)
				f := s.Remote.LastFailover
				if f.From != "backup-1" || f.Reason != v1alpha1.ReasonFailedBack || *f.Resent != 0 {
					t.Errorf("%+v", f)
				}
				if e := s.Remote.Servers[1]; e.State != v1alpha1.ServerStandby {
					t.Errorf("the backup is %s, want Standby", e.State)
				}
				gaps = append(gaps, time.Duration(*f.DurationMilliseconds)*time.Millisecond)
				l.flow(1000)
				// Leave the primary by request, so that nothing is repeated.
				l.request("backup-1")
				l.runner.WaitActive("backup-1", soon)
				l.primary.Stop()
				l.runner.Annotate(l.manifest, "unrelated", "")
				l.runner.WaitStatus(soon, "the primary fails", serverIs(0, v1alpha1.ServerFailed))
			}
			l.primary.Start() // so that the collector has all
			onceEach(t, l.finish())
			checkGaps(t, gaps)
		})
	}
}

// serverIs waits for the state of a remote server.
func serverIs(place int, state v1alpha1.ServerState) func(v1alpha1.MQTTBridgeStatus) error {
	return func(s v1alpha1.MQTTBridgeStatus) error {
		if e := s.Remote.Servers[place]; e.State != state {
			return fmt.Errorf("%+v", e)
		}
		return nil
	}
}

func TestWithFailbackNeverTheBackupStaysUntilAnotherIsAskedFor(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	neverBack(l.manifest)
	failover(l.manifest).Probe = &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](1)}
	l.connect()
	l.stream(1, 500)
	l.primary.Kill()
	l.runner.WaitActive("backup-1", soon)
	l.primary.Start()
	l.runner.WaitStatus(soon, "the primary passes its probes", serverIs(0, v1alpha1.ServerStandby))
	l.flow(2000) // four seconds
	l.runner.WaitActive("backup-1", 0)
	if r := l.request("primary"); r.State != v1alpha1.SwitchDone {
		t.Errorf("%+v", r)
	}
	l.runner.WaitActive("primary", soon)
	l.finish()
}

func TestAServerThatFailsItsProbeIsNotSwitchedTo(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	timeouts(l.manifest, 1, 10)
	l.connect()
	l.stream(1, 500)
	l.backup.Freeze() // accepts connections, and is silent
	since := l.runner.WaitActive("primary", soon).Remote.Active.Since
	for _, c := range []struct{ request, message string }{
		{"backup-1", "its probe failed: "},
		{"backup-1 force", "the connection failed: "},
		{"nowhere", `there is no server "nowhere" on this side; its servers are primary, backup-1`},
	} {
		if r := l.request(c.request); r.State != v1alpha1.SwitchRefused || !strings.Contains(r.Message, c.message) {
			t.Errorf("%s: %+v", c.request, r)
		}
	}
	if s := l.runner.WaitActive("primary", soon); !s.Remote.Active.Since.Equal(&since) {
		t.Error("the primary was left")
	}
	l.backup.Thaw()
	if r := l.request("backup-1 again"); r.State != v1alpha1.SwitchDone {
		t.Errorf("%+v", r)
	}
	onceEach(t, l.finish())
}

func TestTheServerThatIsAskedForIsUsedFromTheStart(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Annotations = map[string]string{v1alpha1.AnnotationSwitchRemote: "backup-1"}
	l.runner = mqtttest.StartRunner(t, l.manifest)
	s := l.runner.WaitActive("backup-1", soon)
	if s.Remote.Failovers != nil {
		t.Errorf("%d failovers", *s.Remote.Failovers)
	}
	if r := l.answered("backup-1"); r.State != v1alpha1.SwitchDone {
		t.Errorf("%+v", r)
	}
	l.runner.Annotate(l.manifest, "unrelated", "")
	l.runner.WaitStatus(soon, "no request is left", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote.RequestedSwitch != nil {
			return errors.New("there is one")
		}
		return nil
	})
}

func TestProbesTellTheStateOfServersThatAreNotInUse(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	failback(l.manifest, 1, 60)
	l.connect()
	l.backup.Stop()
	l.runner.WaitStatus(soon, "the backup fails its probe", func(s v1alpha1.MQTTBridgeStatus) error {
		if e := s.Remote.Servers[1]; e.State != v1alpha1.ServerFailed || e.LastError.Reason != v1alpha1.ReasonConnectionRefused {
			return fmt.Errorf("%+v", e)
		}
		return nil
	})
	l.backup.Start()
	s := l.runner.WaitStatus(soon, "the backup passes its probe", serverIs(1, v1alpha1.ServerStandby))
	if e := s.Remote.Servers[1]; e.LastError != nil {
		t.Errorf("%+v", e)
	}
	l.backup.Freeze()
	s = l.runner.WaitStatus(soon, "the backup is silent", serverIs(1, v1alpha1.ServerFailed))
	if e := s.Remote.Servers[1].LastError; e.Reason != v1alpha1.ReasonConnectTimeout || !strings.Contains(e.Message, "probe.timeoutSeconds") {
		t.Errorf("%+v", e)
	}
	l.backup.Thaw()
	passed := func() float64 {
		return l.runner.Metrics().Sum("mqttbridge_probes_total", "server=backup-1", "result=passed")
	}
	mqtttest.Eventually(t, soon, "probes are counted", func() error {
		if n := passed(); n < 2 {
			return fmt.Errorf("%v passed", n)
		}
		return nil
	})
}

// What a server has queued while another one was in use comes when the bridge is back,
// or does not, as staleSession says.
func TestWhatALeftServerHasQueuedIsResumedOrDiscarded(t *testing.T) {
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
				must(t, p.WaitDone(soon))
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
			must(t, down.WaitCount(10, soon))
			l.request("backup-1")
			l.runner.WaitActive("backup-1", soon)
			publish("meanwhile")
			l.request("primary")
			l.runner.WaitActive("primary", soon)
			publish("after")
			mqtttest.Eventually(t, soon, "what was published afterwards arrives", func() error {
				if n := arrived("after"); n != 10 {
					return fmt.Errorf("%d of 10", n)
				}
				return nil
			})
			want := map[v1alpha1.StaleSession]int{v1alpha1.StaleSessionResume: 10}[stale]
			if n := arrived("meanwhile"); n != want {
				t.Errorf("%d messages of those published meanwhile, want %d", n, want)
			}
			if n := arrived("before"); n != 10 {
				t.Errorf("%d messages of those published before, want 10", n)
			}
		})
	}
}

func TestTheLocalSideIsSwitchedLikewise(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	second := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local-2"})
	l.manifest.Spec.Local.Backups = []v1alpha1.Server{{URL: second.URL()}}
	l.connect()
	l.runner.Annotate(l.manifest, v1alpha1.AnnotationSwitchLocal, "backup-1")
	s := l.runner.WaitStatus(soon, "the local side is switched", func(s v1alpha1.MQTTBridgeStatus) error {
		if r := s.Local.RequestedSwitch; r == nil || r.State != v1alpha1.SwitchDone || s.Local.Active.Name != "backup-1" {
			return fmt.Errorf("%+v", s.Local)
		}
		return nil
	})
	if f := s.Local.LastFailover; f.From != "primary" || f.Reason != v1alpha1.ReasonSwitchRequested || s.Remote.LastFailover != nil {
		t.Errorf("local %+v, remote %+v", f, s.Remote.LastFailover)
	}
	p := mqtttest.StartPublisher(t, second, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 1, Count: 10, Size: 64})
	must(t, p.WaitDone(soon))
	must(t, l.collector.WaitAll(p.Ledger(), soon))
}

func TestARunnerThatIsStoppedWhileItSwitchesDeliversWhatItHolds(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	timeouts(l.manifest, 60, 60)
	neverBack(l.manifest)
	l.connect()
	l.stream(1, 500)
	l.backup.Freeze() // accepts connections, and is silent
	l.runner.Annotate(l.manifest, v1alpha1.AnnotationSwitchRemote, "backup-1 force")
	mqtttest.Eventually(t, soon, "messages wait for the switch", func() error {
		if n := held(l.runner); n < 500 {
			return fmt.Errorf("%v are held", n)
		}
		return nil
	})
	if code, took := l.runner.Terminate(); code != 0 || took > 5*time.Second {
		t.Errorf("it ended with %d after %v", code, took)
	}
	l.backup.Thaw()
	l.runner.Start()
	onceEach(t, l.finish())
}
