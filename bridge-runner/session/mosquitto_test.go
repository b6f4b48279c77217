// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// realServer is a Mosquitto, a client that publishes to it, and the state of the session on it.
type realServer struct {
	t         *testing.T
	broker    *mqtttest.Broker
	publisher *mqtttest.Client5
	state     *State
}

func newRealServer(t *testing.T, name string) *realServer {
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name})
	return &realServer{t: t, broker: broker, publisher: mqtttest.StartClient5(t, broker, "publisher"), state: NewState()}
}

// publish publishes a message at QoS 1.
func (r *realServer) publish(topic, payload string, retain bool) {
	r.t.Helper()
	r.publisher.Publish(&paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload), Retain: retain})
}

// open opens a session that outlives the connection, and makes its subscriptions.
func (r *realServer) open(cfg Config, wanted []Subscription) *link {
	r.t.Helper()
	cfg.Transport.HostPort, cfg.State, cfg.SessionExpiry = r.broker.Address(), r.state, 3600
	ctx, cancel := context.WithTimeout(r.t.Context(), script.Timeout)
	defer cancel()
	s, err := Open(ctx, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(s.Close)
	l := &link{recorder: &recorder{t: r.t, s: s, events: make(chan string, 100), awake: make(chan struct{}, 1)}, s: s}
	s.Start(l.recorder)
	l.change(wanted)
	return l
}

// change calls SetSubscriptions.
func (l *link) change(wanted []Subscription) {
	l.t.Helper()
	if err := <-l.subscribing(wanted); err != nil {
		l.t.Fatal(err)
	}
}

// wantMessages waits for these messages, without others between them, and acknowledges them.
func (l *link) wantMessages(payloads ...string) {
	l.t.Helper()
	for _, payload := range payloads {
		l.want("received " + payload)
		l.ack(payload)
	}
}

func TestSetSubscriptions_RealServers_RemovedFilterGetsNoMessages(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		primary, backup := newRealServer(t, "primary"), newRealServer(t, "backup")
		primary.publish("kept", "retained", true)
		l := primary.open(p.cfg, at1("kept", "old"))
		l.wantMessages("retained")
		l.change(at1("kept", "new"))
		primary.publish("old", "unwanted", false)
		primary.publish("new", "x", false)
		primary.publish("kept", "y", false)
		l.wantMessages("x", "y") // and the retained message does not arrive again
		if p.v5() {              // also if the QoS changes; a server of MQTT 3.1.1 sends it
			l.change([]Subscription{{Filter: "kept", QoS: 2}, {Filter: "new", QoS: 1}})
			primary.publish("kept", "z", false)
			l.wantMessages("z")
			l.change(at1("kept", "new"))
		}
		l.s.Close()

		l = backup.open(p.cfg, at1("kept", "new"))
		l.change(at1("kept"))
		backup.publish("new", "unwanted", false)
		backup.publish("kept", "z", false)
		l.wantMessages("z")
		primary.publish("new", "queued", false) // its subscription has not ended yet
		l.s.Close()

		l = primary.open(p.cfg, at1("kept")) // the bridge returns
		primary.publish("new", "unwanted", false)
		primary.publish("kept", "last", false)
		l.wantMessages("queued", "last")
	})
}
