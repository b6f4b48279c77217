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
	stateTopic = "up/bridge/state" // matches the filter of a rule
	forwards   = "1"
	stopped    = "0"
)

// notified is a bridge with notifications, between a local broker and two remote brokers.
type notified struct {
	t                      *testing.T
	local, primary, backup *mqtttest.Broker
	link                   *mqtttest.Proxy // to the primary
	manifest               *v1alpha1.MQTTBridge
	runner                 *mqtttest.Runner
}

// newNotified starts the brokers, and a proxy in front of the primary with the given one-way delay.
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

// watcher receives the notifications at a broker, including retained ones.
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

// expect waits for the given states, in order, after the states of previous calls.
func (w *watcher) expect(what string, want ...string) {
	w.t.Helper()
	var got []string
	for _, m := range w.Wait(stateTopic, w.seen+len(want), eventTimeout)[w.seen:] {
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

// settle waits until the latest state is the given one.
func (w *watcher) settle(want string) {
	w.t.Helper()
	mqtttest.Eventually(w.t, eventTimeout, fmt.Sprintf("%s receives %s", w.name, want), func() error {
		if got := w.states(); len(got) == 0 || got[len(got)-1] != want {
			return fmt.Errorf("received so far: %q", got)
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

// retained checks the state that a new subscriber receives.
func (n *notified) retained(what, want string, brokers ...*mqtttest.Broker) {
	n.t.Helper()
	for i, b := range brokers {
		late := &watcher{t: n.t, name: b.Name, Client5: mqtttest.StartClient5(n.t, b, fmt.Sprint("late", i, want))}
		late.Subscribe(stateTopic)
		late.expect(what, want)
	}
}

func TestNotifications_BothSides_ReceiveEachState(t *testing.T) {
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
			there.expect("the connection is lost", stopped)
			spare.expect("the backup is in use", forwards)
			here.expect("another server is in use", stopped, forwards)

			n.backup.Kill()
			there.expect("the primary is in use", forwards)
			here.expect("the primary is in use", stopped, forwards)

			n.runner.Kill()
			here.expect("the runner is killed", stopped)
			there.expect("the runner is killed", stopped)
			n.retained("the runner is dead", stopped, n.local, n.primary)

			n.runner.Start()
			here.settle(forwards)
			there.settle(forwards)
			n.runner.Terminate()
			here.expect("the runner ends", stopped)
			there.expect("the runner ends", stopped)
			n.retained("the runner has ended", stopped, n.local, n.primary)
		})
	}
}

// The server deletes the Will when the bridge closes the connection in order to reconnect.
func TestNotifications_ReconnectionFails_LeftServerHas0(t *testing.T) {
	t.Parallel()
	for _, qos := range []int32{0, 1} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			n := newNotified(t, qos, 0)
			there, spare := n.watch(n.primary), n.watch(n.backup)
			n.start()
			there.settle(forwards)
			n.manifest.Spec.Remote.KeepAliveSeconds = ptr.To[int32](33)
			n.runner.Update(n.manifest)
			there.expect("the bridge reconnects", stopped, forwards)

			n.manifest.Spec.Remote.Primary.Proxy = &v1alpha1.Proxy{URL: "socks5://127.0.0.1:1"} // nothing listens there
			n.runner.Update(n.manifest)
			spare.settle(forwards)
			there.expect("the bridge cannot reconnect", stopped)
			n.retained("the bridge has left", stopped, n.primary)
		})
	}
}

func TestNotifications_OneSideDown_OtherSideReceivesThem(t *testing.T) {
	t.Parallel()
	n := newNotified(t, 1, 0)
	n.primary.Stop()
	n.backup.Stop()
	here := n.watch(n.local)
	n.start()
	here.expect("no remote server is up", stopped)
	n.primary.Start()
	n.runner.WaitActive("primary", eventTimeout)
	here.expect("the primary is up", forwards)
	n.primary.Kill()
	here.expect("the primary is down", stopped)
	n.backup.Start()
	here.expect("the backup is up", forwards)
}

func TestNotifications_MatchingRule_AreNotForwarded(t *testing.T) {
	t.Parallel()
	n := newNotified(t, 1, 0)
	there := n.watch(n.primary)
	n.start()
	n.runner.WaitActive("primary", eventTimeout)
	there.settle(forwards)
	client := mqtttest.StartClient5(t, n.local, "client")
	there.Subscribe("up/mark")
	client.Publish(&paho.Publish{Topic: stateTopic, QoS: 1, Payload: []byte("foreign")})
	client.Publish(&paho.Publish{Topic: "up/mark", QoS: 1, Payload: []byte("x")})
	there.Wait("up/mark", 1, eventTimeout)
	if got := there.states(); slices.Contains(got, "foreign") {
		t.Errorf("the remote side received %q", got)
	}
	if n := dropped(n.runner, "excluded"); n < 1 {
		t.Errorf("%v messages are counted as excluded", n)
	}
}

// The window is 1 and the round trip is 50 ms: the window is always full, and more messages wait
// than the runner can drain when it ends.
func TestNotifications_FullWindow_AreDelivered(t *testing.T) {
	t.Parallel()
	n := newNotified(t, 1, 25*time.Millisecond)
	n.manifest.Spec.Delivery = &v1alpha1.Delivery{InflightWindow: ptr.To[int32](1)}
	n.manifest.Spec.Remote.Backups = nil
	there := n.watch(n.primary)
	n.start()
	n.runner.WaitActive("primary", eventTimeout)
	p := mqtttest.StartPublisher(t, n.local, traffic.PublisherConfig{Topic: "up/x", Stream: "s", QoS: 1, Count: 1000})
	must(t, p.WaitDone(eventTimeout))
	there.settle(forwards)
	n.link.Cut()
	there.expect("the connection is lost", stopped)
	n.runner.WaitActive("primary", eventTimeout)
	there.expect("the connection is back", forwards)
	if h := held(n.runner); h == 0 {
		t.Error("no message waits: the window was not full")
	}
	n.runner.Terminate()
	there.expect("the runner has ended", stopped)
}
