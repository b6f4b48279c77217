// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// The limits of the gaps when the other runner becomes active.
const (
	// killMedian and killWorst are for the end of a process without a hand-over.
	killMedian = 150 * time.Millisecond
	killWorst  = 500 * time.Millisecond
	// handOverMedian and handOverWorst are for planned changes of the active runner.
	handOverMedian = 50 * time.Millisecond
	handOverWorst  = 250 * time.Millisecond
	// peerTimeout is the shortest possible --peer-timeout. frozenWorst is for a frozen process: the
	// runner that is not preferred waits for twice the timeout.
	peerTimeout = 3 * time.Second
	frozenWorst = 2*peerTimeout + 2*time.Second
	// peerSilence is longer than the time after which a runner closes a silent connection to the other
	// one.
	peerSilence = 5 * time.Second
)

// pairing is the configuration of two runners.
type pairing struct {
	// linked puts proxies between the runners, see [mqtttest.NewPair].
	linked bool
	// recorded puts recorders between each runner and the brokers.
	recorded bool
	args     []string
}

// pairScenarios are the scenarios with two runners. Events that change no role are in scenarios of their
// own, so that the number of activations is known.
var pairScenarios = []scenario{
	{
		name: "active runner killed", pair: &pairing{},
		events: []event{killed("active runner killed (SIGKILL)")},
	}, {
		name: "active runner killed, primary server silent", pair: &pairing{}, prepare: (*world).withSilentPrimary,
		events: []event{killed("active runner killed (SIGKILL), primary server silent")},
	}, {
		name: "hand-over", pair: &pairing{},
		events: []event{
			{name: "active runner stopped (SIGTERM)", median: handOverMedian, limit: handOverWorst, act: (*world).stopActive, after: (*world).startStandby},
			handOver("hand-over by hand (SIGUSR1)"),
		},
	}, {
		name: "active runner frozen", pair: &pairing{recorded: true, args: []string{"--peer-timeout", peerTimeout.String()}},
		prepare: (*world).withClientIDs,
		events: []event{
			{name: "active runner frozen (SIGSTOP), --peer-timeout 3s", limit: frozenWorst, mayRepeat: true, act: (*world).freezeActive},
			{name: "frozen runner continued (SIGCONT)", limit: reconnect, act: (*world).thawStandby, after: (*world).checkNothingSent},
		},
	}, {
		name: "no change of roles", pair: &pairing{linked: true},
		events: []event{
			{name: "connection between the runners cut", limit: inPlace, act: (*world).cutLinks, after: (*world).checkRoles},
			{name: "connection between the runners silent for 5 s", limit: inPlace, act: (*world).silenceLinks, after: (*world).healLinks},
			{name: "standby killed and started", limit: inPlace, act: (*world).killStandby, after: (*world).checkRoles},
		},
	}, {
		name: "changes with a standby", pair: &pairing{}, changing: true, interrupted: true,
		events: []event{
			starting(change("rule added, with a standby", changeRules(v1alpha1.Rule{Filter: "x"}))),
			starting(handOver("hand-over by hand after the change")),
			change("rule removed, with a standby", changeRules()),
			change("log level changed, with a standby", func(s *spec) { s.Runner = &v1alpha1.Runner{LogLevel: v1alpha1.LogLevelDebug} }),
			change("log level changed, with a standby", func(s *spec) { s.Runner = nil }),
		},
	},
}

// killed returns an event that ends the active runner without a hand-over.
func killed(name string) event {
	return event{name: name, median: killMedian, limit: killWorst, mayRepeat: true, act: (*world).killActive, after: (*world).startStandby}
}

// handOver returns an event that makes the other runner active.
func handOver(name string) event {
	return event{name: name, median: handOverMedian, limit: handOverWorst, act: func(w *world) {
		w.runner.HandOver()
		w.changeRoles()
		w.waitRoles()
	}}
}

// startPair starts both runners.
func (w *world) startPair() {
	w.Helper()
	p := w.scenario.pair
	w.pair = mqtttest.NewPair(w, w.manifest, p.linked, p.args...)
	if p.recorded {
		w.recordPackets()
	}
	w.pair.Start()
	w.runner = w.pair.Runners[0]
}

// recordPackets makes both runners connect to recorders of their own.
func (w *world) recordPackets() {
	w.Helper()
	w.recorders = map[*mqtttest.Runner][]*mqtttest.Recorder{}
	for _, r := range w.pair.Runners {
		m := w.manifest.DeepCopy()
		for server, broker := range map[*v1alpha1.Server]*mqtttest.Broker{&m.Spec.Local.Primary: w.local, &m.Spec.Remote.Primary: w.remotes[0]} {
			recorder := mqtttest.StartRecorder(w, broker)
			server.URL = recorder.URL()
			w.recorders[r] = append(w.recorders[r], recorder)
		}
		r.Update(m)
	}
}

// clientIDs are the client identifiers of both sides that withClientIDs sets.
var clientIDs = [2]string{"takeover-local", "takeover-remote"}

func (w *world) withClientIDs() {
	w.manifest.Spec.Local.ClientID, w.manifest.Spec.Remote.ClientID = clientIDs[0], clientIDs[1]
}

// withSilentPrimary puts a server that does not answer before the remote broker.
func (w *world) withSilentPrimary() {
	silent := mqtttest.StartProxy(w, w.remotes[0].Address(), 0)
	silent.BlackHole(true)
	w.manifest.Spec.Remote.Backups = []v1alpha1.Server{w.manifest.Spec.Remote.Primary}
	w.manifest.Spec.Remote.Primary = v1alpha1.Server{Name: "silent", URL: silent.URL()}
	w.manifest.Spec.Remote.Failover = &v1alpha1.Failover{ConnectTimeoutSeconds: ptr.To[int32](3)}
}

// activeIndex returns the index of the active runner in the pair.
func (w *world) activeIndex() int {
	if w.runner == w.pair.Runners[0] {
		return 0
	}
	return 1
}

func (w *world) standby() *mqtttest.Runner { return w.pair.Runners[1-w.activeIndex()] }

// changeRoles records that the other runner becomes active.
func (w *world) changeRoles() { w.runner = w.standby() }

func (w *world) waitRoles() {
	w.Helper()
	w.pair.WaitRoles(w.activeIndex())
}

func (w *world) killActive() {
	w.Helper()
	w.runner.Kill()
	w.changeRoles()
}

func (w *world) stopActive() {
	w.Helper()
	if code, took := w.runner.Terminate(); code != 0 || took > eventTimeout {
		w.Errorf("the runner ended with %d after %s", code, took)
	}
	w.changeRoles()
}

func (w *world) startStandby() {
	w.Helper()
	w.standby().Start()
	w.waitRoles()
}

func (w *world) freezeActive() {
	w.Helper()
	w.runner.Freeze()
	w.standby().WaitMember(func(m mqtttest.Member) bool { return m.State == mqtttest.MemberActive })
	w.changeRoles()
}

// thawStandby continues the frozen runner, and records the packets that it sends from then on.
func (w *world) thawStandby() {
	w.Helper()
	for _, r := range w.recorders[w.standby()] {
		r.Record()
	}
	w.standby().Thaw()
	w.waitRoles()
}

// checkNothingSent checks that the continued runner has sent no packet in a session of the bridge.
func (w *world) checkNothingSent() {
	w.Helper()
	w.checkSilent(w.recorders[w.standby()], "127.0.0.1")
}

// checkSilent checks that the runner with an IP address has sent no packet in a session of the bridge
// since the beginning of the records. Its probes have other client identifiers.
func (w *world) checkSilent(recorders []*mqtttest.Recorder, address string) {
	w.Helper()
	sent := map[string]int{}
	for _, r := range recorders {
		for _, p := range r.Packets() {
			if p.From == address && (p.ClientID == clientIDs[0] || p.ClientID == clientIDs[1]) {
				sent[packets.PacketNames[p.Type]]++
			}
		}
	}
	if len(sent) > 0 {
		w.Errorf("the continued runner has sent packets in the sessions of the bridge: %v", sent)
	}
}

func (w *world) cutLinks() {
	for _, link := range w.pair.Links {
		link.Cut()
	}
}

func (w *world) silenceLinks() {
	for _, link := range w.pair.Links {
		link.BlackHole(true)
	}
	time.Sleep(peerSilence) // no event can be awaited: the test shows that nothing happens
}

func (w *world) healLinks() {
	w.Helper()
	for _, link := range w.pair.Links {
		link.BlackHole(false)
	}
	w.checkRoles()
}

func (w *world) killStandby() {
	w.Helper()
	w.standby().Kill()
	w.startStandby()
}

// checkRoles checks that no role has changed since the start of the pair.
func (w *world) checkRoles() {
	w.Helper()
	w.waitRoles()
	for r, want := range map[*mqtttest.Runner]float64{w.runner: 1, w.standby(): 0} {
		if got := r.Metrics().Sum("mqttbridge_member_activations_total"); got != want {
			w.Errorf("a runner became active %v times, want %v", got, want)
		}
	}
}
