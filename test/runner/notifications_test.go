// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

const (
	stateTopic = "up/bridge/state" // a rule's filter matches it
	forwards   = "1"
	stands     = "0"
)

// notified is a bridge with notifications between a local broker and two remote ones.
type notified struct {
	t                      *testing.T
	local, primary, backup *mqtttest.Broker
	link                   *mqtttest.Proxy // to the primary
	runner                 *mqtttest.Runner
}

func newNotified(t *testing.T, version v1alpha1.ProtocolVersion, qos int32) *notified {
	t.Helper()
	start := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true})
	}
	n := &notified{t: t, local: start("local"), primary: start("primary"), backup: start("backup")}
	n.link = mqtttest.StartProxy(t, n.primary.Address(), 0)
	b := retry(speaking(manifest("notified", n.local.URL(), n.link.URL(), n.backup.URL()), version, version), 50, 1)
	b.Spec.Notifications = &v1alpha1.Notifications{Topic: stateTopic, QoS: ptr.To(qos)}
	n.runner = mqtttest.NewRunner(t, b)
	return n
}

// watcher is told of notifications on a broker, retained ones included.
type watcher struct {
	t    *testing.T
	name string
	*mqtttest.Client5
	seen int
}

func (n *notified) watch(b *mqtttest.Broker) *watcher {
	n.t.Helper()
	w := &watcher{t: n.t, name: b.Name, Client5: mqtttest.StartClient5(n.t, b, "watcher")}
	w.Subscribe(stateTopic)
	return w
}

// expect waits for the states, in order, that come after those that were expected
// before.
func (w *watcher) expect(what string, want ...string) {
	w.t.Helper()
	var got []string
	for _, m := range w.Wait(stateTopic, w.seen+len(want), soon)[w.seen:] {
		got = append(got, string(m.Payload))
		if !m.Retain {
			w.t.Errorf("%s: %s: a state is not retained", w.name, what)
		}
	}
	w.seen += len(got)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %s: the states are %q, want %q", w.name, what, got, want)
	}
}

// settle waits until the latest state is the wanted one.
func (w *watcher) settle(want string) {
	w.t.Helper()
	mqtttest.Eventually(w.t, soon, fmt.Sprintf("%s is told %s", w.name, want), func() error {
		if got := w.states(); len(got) == 0 || got[len(got)-1] != want {
			return fmt.Errorf("told so far: %q", got)
		}
		return nil
	})
	w.seen = len(w.Received(stateTopic))
}

func (w *watcher) states() []string {
	var out []string
	for _, m := range w.Received(stateTopic) {
		out = append(out, string(m.Payload))
	}
	return out
}

// retained expects what a new subscriber learns.
func (n *notified) retained(what, want string, brokers ...*mqtttest.Broker) {
	n.t.Helper()
	for i, b := range brokers {
		late := &watcher{t: n.t, name: b.Name, Client5: mqtttest.StartClient5(n.t, b, fmt.Sprint("late", i, want))}
		late.Subscribe(stateTopic)
		late.expect(what, want)
	}
}

func TestBothSidesAreToldWhetherTheBridgeForwards(t *testing.T) {
	t.Parallel()
	for _, version := range []v1alpha1.ProtocolVersion{v311, v5} {
		for _, qos := range []int32{0, 1} {
			t.Run(fmt.Sprintf("MQTT %s, QoS %d", version, qos), func(t *testing.T) {
				t.Parallel()
				n := newNotified(t, version, qos)
				here, there, spare := n.watch(n.local), n.watch(n.primary), n.watch(n.backup)
				n.runner.Start()
				n.runner.WaitActive("primary", soon)
				n.retained("the bridge forwards", forwards, n.local, n.primary)
				here.settle(forwards)
				there.settle(forwards)

				n.link.Cut()
				n.runner.WaitActive("backup-1", soon)
				there.expect("the connection is lost", stands)
				spare.settle(forwards)
				here.settle(forwards)
				if got := here.states(); !slices.Contains(got, stands) {
					t.Errorf("the local side was not told of the loss: %q", got)
				}

				n.backup.Kill()
				n.runner.WaitActive("primary", soon)
				there.settle(forwards)
				here.settle(forwards)

				n.runner.Kill()
				here.settle(stands)
				there.settle(stands)
				n.retained("the runner is dead", stands, n.local, n.primary)

				n.runner.Start()
				here.settle(forwards)
				there.settle(forwards)
				if code, _ := n.runner.Terminate(); code != 0 {
					t.Errorf("exit code %d", code)
				}
				here.settle(stands)
				there.settle(stands)
				n.retained("the runner has ended", stands, n.local, n.primary)
			})
		}
	}
}

func TestTheOneSideIsToldWhileTheOtherIsGone(t *testing.T) {
	t.Parallel()
	n := newNotified(t, v5, 1)
	n.primary.Stop()
	n.backup.Stop()
	here := n.watch(n.local)
	n.runner.Start()
	here.expect("no remote server is up", stands)
	n.primary.Start()
	n.runner.WaitActive("primary", soon)
	here.expect("the primary is up", forwards)
	n.primary.Kill()
	here.expect("the primary is gone", stands)
	n.backup.Start()
	here.expect("the backup is up", forwards)
}

func TestNotificationsDoNotGoOver(t *testing.T) {
	t.Parallel()
	n := newNotified(t, v311, 1)
	there := n.watch(n.primary)
	n.runner.Start()
	n.runner.WaitActive("primary", soon)
	there.settle(forwards)
	client := mqtttest.StartClient5(t, n.local, "client")
	there.Subscribe("up/mark")
	client.Publish(&paho.Publish{Topic: stateTopic, QoS: 1, Payload: []byte("foreign")})
	client.Publish(&paho.Publish{Topic: "up/mark", QoS: 1, Payload: []byte("x")})
	there.Wait("up/mark", 1, soon)
	if got := there.states(); slices.Contains(got, "foreign") {
		t.Errorf("the remote side was told %q", got)
	}
	if n := dropped(n.runner, "excluded"); n < 1 {
		t.Errorf("%v messages are counted as excluded", n)
	}
}
