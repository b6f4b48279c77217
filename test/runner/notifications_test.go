// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
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
	manifest               *v1alpha1.MQTTBridge
	runner                 *mqtttest.Runner
}

// newNotified starts the brokers, and a link to the primary with that one-way delay.
func newNotified(t *testing.T, qos int32, delay time.Duration) *notified {
	t.Helper()
	start := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true})
	}
	n := &notified{t: t, local: start("local"), primary: start("primary"), backup: start("backup")}
	n.link = mqtttest.StartProxy(t, n.primary.Address(), delay)
	n.manifest = retry(manifest("notified", n.local.URL(), n.link.URL(), n.backup.URL()), 50, 1)
	n.manifest.Spec.Notifications = &v1alpha1.Notifications{Topic: stateTopic, QoS: ptr.To(qos)}
	return n
}

func (n *notified) start() {
	n.t.Helper()
	n.runner = mqtttest.StartRunner(n.t, n.manifest)
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
	for _, qos := range []int32{0, 1} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			n := newNotified(t, qos, 0)
			here, there, spare := n.watch(n.local), n.watch(n.primary), n.watch(n.backup)
			n.start()
			here.settle(forwards)
			there.settle(forwards)
			n.retained("the bridge forwards", forwards, n.local, n.primary)

			n.link.Cut()
			there.expect("the connection is lost", stands)
			spare.expect("the backup is in use", forwards)
			here.expect("another server is in use", stands, forwards)

			n.backup.Kill()
			there.expect("the primary is in use", forwards)
			here.expect("the primary is in use", stands, forwards)

			n.runner.Kill()
			here.expect("the runner is killed", stands)
			there.expect("the runner is killed", stands)
			n.retained("the runner is dead", stands, n.local, n.primary)

			n.runner.Start()
			here.settle(forwards)
			there.settle(forwards)
			n.runner.Terminate()
			here.expect("the runner ends", stands)
			there.expect("the runner ends", stands)
			n.retained("the runner has ended", stands, n.local, n.primary)
		})
	}
}

func TestTheOneSideIsToldWhileTheOtherIsGone(t *testing.T) {
	t.Parallel()
	n := newNotified(t, 1, 0)
	n.primary.Stop()
	n.backup.Stop()
	here := n.watch(n.local)
	n.start()
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
	n := newNotified(t, 1, 0)
	there := n.watch(n.primary)
	n.start()
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

// One message at a time over a round trip of 50 ms: there is never room for another
// one, and too much waits to be drained when the runner ends.
func TestNotificationsFindTheirWayThroughAFullWindow(t *testing.T) {
	t.Parallel()
	n := newNotified(t, 1, 25*time.Millisecond)
	n.manifest.Spec.Delivery = &v1alpha1.Delivery{InflightWindow: ptr.To[int32](1)}
	n.manifest.Spec.Remote.Backups = nil
	there := n.watch(n.primary)
	n.start()
	n.runner.WaitActive("primary", soon)
	p := mqtttest.StartPublisher(t, n.local, traffic.PublisherConfig{Topic: "up/x", Stream: "s", QoS: 1, Count: 1000})
	must(t, p.WaitDone(soon))
	there.settle(forwards)
	n.link.Cut()
	there.expect("the connection is lost", stands)
	n.runner.WaitActive("primary", soon)
	there.expect("the connection is back", forwards)
	if h := held(n.runner); h == 0 {
		t.Error("nothing waits: the window was not full")
	}
	n.runner.Terminate()
	there.expect("the runner has ended", stands)
}
