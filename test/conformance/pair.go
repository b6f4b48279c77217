// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// pairSettings configures two runners.
type pairSettings struct {
	// linked connects the runners by proxies, which can cut the connection. Then the end of a process
	// proves nothing, because its proxy still accepts connections.
	linked  bool
	timeout time.Duration // --peer-timeout
}

func (s pairSettings) String() string {
	return fmt.Sprintf("linked %t, --peer-timeout %s", s.linked, s.timeout)
}

// twins are two runners of the same bridge, and the history of their faults. Each process has a user
// name of its own, so that the servers know which process has sent a CONNECT.
type twins struct {
	testing.TB
	*history
	linked  bool
	pair    *mqtttest.Pair
	starts  [2]int
	stopped [2]bool // the runner is frozen
	cuts    [2]bool // the data to the runner is cut
	// forgets is called after an event after which a runner may forget the state of its sessions, unless
	// it is nil: the runner continues after a freeze, or the other one may have used the sessions.
	forgets func()
}

const (
	// login is the Secret with the user name, and its key.
	login, loginKey = "login", "username"
)

// newTwins returns the runners of a bridge, which do not run yet.
func newTwins(t testing.TB, bridge *v1alpha1.MQTTBridge, s pairSettings) *twins {
	t.Helper()
	for _, side := range []*v1alpha1.Side{&bridge.Spec.Local, &bridge.Spec.Remote} {
		side.Credentials = &v1alpha1.Credentials{Username: &v1alpha1.UsernameSource{SecretKeyRef: &v1alpha1.KeyReference{Name: login}}}
	}
	return &twins{
		TB: t, history: newHistory(s.timeout), linked: s.linked,
		pair: mqtttest.NewPair(t, bridge, s.linked, "--peer-timeout", s.timeout.String()),
	}
}

// user is the user name of the latest process of a runner.
func (w *twins) user(i int) string { return userOf(i, w.starts[i]) }

// start starts a runner that does not run.
func (w *twins) start(i int) {
	w.Helper()
	if w.starts[i] > 0 && w.pair.Runners[i].Running() {
		return
	}
	w.starts[i]++
	w.stopped[i] = false
	w.pair.Runners[i].SetFile(login, loginKey, w.user(i))
	w.mu.Lock()
	finish(&w.down[i])
	w.mu.Unlock()
	w.pair.Runners[i].Start()
}

// end notes that a process ends.
func (w *twins) end(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	begin(&w.down[i])
	if _, ok := w.ended[w.user(i)]; !ok {
		w.ended[w.user(i)] = time.Now()
	}
	finish(&w.frozen[i])
}

func (w *twins) kill(i int) {
	w.Helper()
	if w.pair.Runners[i].Running() {
		w.end(i)
		w.mu.Lock()
		w.killed[w.user(i)] = time.Now()
		w.mu.Unlock()
		w.stopped[i] = false
		w.pair.Runners[i].Kill()
	}
}

// terminate requests the end of a process. It does not wait for the end.
func (w *twins) terminate(i int) {
	w.Helper()
	if w.pair.Runners[i].Running() && !w.stopped[i] {
		w.end(i)
		w.pair.Runners[i].Stop()
	}
}

func (w *twins) freeze(i int) {
	w.Helper()
	if w.stopped[i] || !w.pair.Runners[i].Running() {
		return
	}
	w.pair.Runners[i].Freeze()
	w.stopped[i] = true
	w.mu.Lock()
	defer w.mu.Unlock()
	begin(&w.frozen[i])
}

func (w *twins) thaw(i int) {
	w.Helper()
	if !w.stopped[i] {
		return
	}
	w.stopped[i] = false
	w.mu.Lock()
	finish(&w.frozen[i])
	w.mu.Unlock()
	w.mayForget()
	w.pair.Runners[i].Thaw()
}

func (w *twins) mayForget() {
	if w.forgets != nil {
		w.forgets()
	}
}

func (w *twins) handOver(i int) {
	w.Helper()
	if w.stopped[i] || !w.pair.Runners[i].Running() {
		return
	}
	w.mu.Lock()
	w.handOvers[i] = append(w.handOvers[i], time.Now())
	w.mu.Unlock()
	w.pair.Runners[i].HandOver()
}

// sessionsEnd notes that a server ends all its connections.
func (w *twins) sessionsEnd() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessionEnds = append(w.sessionEnds, time.Now())
}

// cutTo makes the network lose the data to a runner, or to both for to < 0. With reset, it also ends the
// connection.
func (w *twins) cutTo(to int, reset bool) {
	w.mu.Lock()
	begin(&w.cut)
	w.mu.Unlock()
	for i := range w.cuts {
		w.cuts[i] = w.cuts[i] || to < 0 || to == i
	}
	w.applyCuts()
	if reset {
		w.reset()
	}
}

// reset ends the connection between the runners.
func (w *twins) reset() {
	for _, link := range w.pair.Links {
		link.Cut()
	}
}

// applyCuts sets the black holes of the links: the runner i has dialled Links[i].
func (w *twins) applyCuts() {
	for i, link := range w.pair.Links {
		link.BlackHoleTo(mqtttest.Client, w.cuts[i])
		link.BlackHoleTo(mqtttest.Target, w.cuts[1-i])
	}
}

// heal ends the cuts.
func (w *twins) heal() {
	w.cuts = [2]bool{}
	w.applyCuts()
	w.mu.Lock()
	defer w.mu.Unlock()
	finish(&w.cut)
}

// settle ends all faults.
func (w *twins) settle() {
	w.Helper()
	if w.linked {
		w.heal()
	}
	for i := range w.pair.Runners {
		w.thaw(i)
		if _, ended := w.ended[w.user(i)]; ended && w.pair.Runners[i].Running() {
			w.pair.Runners[i].Wait()
		}
		w.start(i)
	}
}

// startAll starts both runners.
func (w *twins) startAll() {
	w.Helper()
	for i := range w.pair.Runners {
		w.start(i)
	}
}

// active returns the runner that says that it is active, or the first one.
func (w *twins) active() *mqtttest.Runner {
	for _, r := range w.pair.Runners {
		if m, err := r.Member(); err == nil && m.State == mqtttest.MemberActive {
			return r
		}
	}
	return w.pair.Runners[0]
}

// oneActive returns an error unless one runner is active and the other one is its warm standby.
func (w *twins) oneActive() error {
	var members [2]mqtttest.Member
	for i, r := range w.pair.Runners {
		var err error
		if members[i], err = r.Member(); err != nil {
			return err
		}
	}
	for i, m := range members {
		other := members[1-i]
		if m.State == mqtttest.MemberActive && other.State == mqtttest.MemberStandby && other.Warm && other.Peer.State == mqtttest.MemberActive {
			return nil
		}
	}
	return fmt.Errorf("%+v", members)
}

// records returns a function that notes the packets of the bridge at a server of package peer.
func (h *history) records(server string) func(peer.Record) {
	return func(r peer.Record) {
		if kind := r.Packet.Type; r.Connect.ClientID == bridgeID && (kind == peer.CONNECT || kind == peer.PUBLISH) {
			m, _ := traffic.Decode([]byte(r.Packet.Payload)) // other messages have no time
			h.add(act{
				at: r.At, server: server, user: r.Connect.Username, connected: r.Connected,
				connect: kind == peer.CONNECT, sent: m.Sent, overtaken: r.Overtaken,
			})
		}
	}
}
