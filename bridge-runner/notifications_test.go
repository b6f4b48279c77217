// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// quietSides returns both sides of a bridge that forwards nothing, and their notifier.
func quietSides(n config.Notifications) (local, remote side) {
	log, flusher := slog.New(slog.DiscardHandler), &session.Flusher{}
	metrics, echoes := report.NewMetrics(), &echoDetectors{}
	up := delivery.New(nil, metrics.Meter(report.LocalToRemote, nil, log), delivery.Options{Flush: flusher.Flush})
	down := delivery.New(nil, metrics.Meter(report.RemoteToLocal, nil, log), delivery.Options{Flush: flusher.Flush})
	notifier := newNotifier(n, flusher, log)
	local = side{out: up, in: down, sessions: &sideSessions{}, flusher: flusher, notifier: notifier, echoes: &echoes.local, otherEchoes: &echoes.remote}
	remote = side{out: down, in: up, sessions: &sideSessions{}, flusher: flusher, notifier: notifier, echoes: &echoes.remote, otherEchoes: &echoes.local}
	return local, remote
}

// open connects a side to a broker, and reports the session to the side.
func (x side) open(t *testing.T, b *mqtttest.Broker) {
	t.Helper()
	s, err := session.Open(t.Context(), session.Config{
		Transport: transport.Config{HostPort: b.Address()}, Version: packet.V5, ClientID: "bridge", State: session.NewState(), CleanStart: true,
		KeepAlive: time.Minute, PingTimeout: time.Minute, AckTimeout: time.Minute, Window: 10, Flusher: x.flusher,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Start(x.NewSession(s))
	x.Up(s)
}

// wantStates waits until the watcher has received these states under a topic, and no others.
func wantStates(t *testing.T, watcher *mqtttest.Client5, topic string, want ...string) {
	t.Helper()
	var got []string
	for _, m := range watcher.Wait(topic, len(want), 10*time.Second) {
		got = append(got, string(m.Payload))
		if !m.Retain {
			t.Errorf("a state under %s is not retained", topic)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the states under %s are %q, want %q", topic, got, want)
	}
}

func TestNotifier_SettingsChange_EarlierTopicHas0AndNewTopicTheState(t *testing.T) {
	type settings = config.Notifications
	for _, c := range []struct {
		name         string
		first, then  settings
		early, later []string // the states under the topics a and b, on the side that comes up last
		will         string
	}{
		{"another topic", settings{Topic: "a", QoS: 1}, settings{Topic: "b", QoS: 1}, []string{"1", "0"}, []string{"1"}, "b"},
		{"another topic, QoS 0", settings{Topic: "a"}, settings{Topic: "b"}, []string{"1", "0"}, []string{"1"}, "b"},
		{"another QoS", settings{Topic: "a"}, settings{Topic: "a", QoS: 1}, []string{"1"}, nil, "a"},
		{"removed", settings{Topic: "a", QoS: 1}, settings{}, []string{"1", "0"}, nil, ""},
		{"added", settings{}, settings{Topic: "b", QoS: 1}, nil, []string{"1"}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, far := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"}), mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
			local, remote := quietSides(c.first)
			watcher, here := mqtttest.StartClient5(t, far, "watcher"), mqtttest.StartClient5(t, near, "watcher")
			watcher.Subscribe("#")
			here.Subscribe("#")
			local.open(t, near)
			remote.open(t, far)
			if c.first.Topic != "" {
				wantStates(t, watcher, "a", "1")
				wantStates(t, here, "a", "0", "1")
			}
			remote.notifier.change(c.then)
			remote.flusher.Flush()
			remote.notifier.change(c.then) // the same settings change nothing
			remote.flusher.Flush()
			wantStates(t, watcher, "a", c.early...)
			wantStates(t, watcher, "b", c.later...)
			wantStates(t, here, "b", c.later...)
			for _, w := range []*mqtttest.Client5{watcher, here} {
				w.Publish(&paho.Publish{Topic: "last", QoS: 1}) // it arrives behind everything else
				w.Wait("last", 1, 10*time.Second)
			}
			wantStates(t, watcher, "a", c.early...)
			wantStates(t, watcher, "b", c.later...)
			mqtttest.Eventually(t, 10*time.Second, "all notifications are acknowledged", func() error {
				remote.notifier.mu.Lock()
				defer remote.notifier.mu.Unlock()
				if n := len(remote.notifier.inflight); n > 0 { // a server that was removed would be kept
					return fmt.Errorf("the notifier holds the states of %d sessions", n)
				}
				return nil
			})
			will := ""
			if w := remote.notifier.will(); w != nil {
				will = w.Topic
			}
			if will != c.will {
				t.Errorf("the topic of the Will is %q, want %q", will, c.will)
			}
		})
	}
}
