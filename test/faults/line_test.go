// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// inflight is the largest number of messages in flight from a broker to the bridge, and from
	// the bridge to a broker. It is never reached: of messages that wait for room in the window,
	// Mosquitto 2.0.11 sends some behind newer ones, and some QoS 2 messages never.
	inflight = 1000
	// rate is the rate of a stream, in messages a second.
	rate = 50
	// ackTimeout is the bridge's acknowledgement timeout. It is longer than a server needs on a
	// busy machine.
	ackTimeout = 3 * time.Second
)

// server is a broker behind a cutter.
type server struct {
	*mqtttest.Broker
	cutter *mqtttest.Cutter
}

func startServer(t *testing.T, name string) *server {
	t.Helper()
	b := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true, MaxInflight: inflight})
	return &server{b, mqtttest.StartCutter(t, b.Address())}
}

// line is a bridge between a local server and remote servers, with streams of QoS 1 and 2. It
// forwards in both directions, so that all servers keep its session.
type line struct {
	*testing.T
	local   *server
	remotes []*server
	runner  *mqtttest.Runner
	streams []*stream
	history history
}

// newLine starts the servers, the bridge and the streams. The remote servers have the names of
// their roles.
func newLine(t *testing.T, remotes ...string) *line {
	t.Helper()
	l := &line{T: t, local: startServer(t, "local")}
	for _, name := range remotes {
		l.remotes = append(l.remotes, startServer(t, name))
	}
	for _, qos := range []byte{1, 2} {
		l.collect(up, fmt.Sprintf("up%d", qos), qos, []*server{l.local}, l.remotes)
		for i, from := range l.remotes {
			l.collect(down, fmt.Sprintf("down%d%d", i, qos), qos, []*server{from}, []*server{l.local})
		}
	}
	l.runner = mqtttest.StartRaceRunner(t, l.manifest())
	for i := range l.remotes { // each server receives the bridge's subscriptions
		l.runner.WaitActive(l.remotes[i].Name, eventTimeout)
		if len(l.remotes) > 1 {
			l.remotes[i].cutter.CutNow()
		}
	}
	for _, s := range l.streams {
		s.publisher = mqtttest.StartPublisher(t, s.from.Broker, traffic.PublisherConfig{Topic: s.topic(), Stream: s.name, QoS: s.qos, Rate: rate})
	}
	return l
}

func (l *line) manifest() *v1alpha1.MQTTBridge {
	side := func(servers ...*server) v1alpha1.Side {
		s := v1alpha1.Side{
			Primary:         v1alpha1.Server{URL: servers[0].cutter.URL()},
			ProtocolVersion: &version,
			ClientID:        "bridge",
			Failover: &v1alpha1.Failover{
				ConnectTimeoutSeconds: ptr.To[int32](5),
				AckTimeoutSeconds:     ptr.To(int32(ackTimeout / time.Second)),
				Retry:                 &v1alpha1.Retry{InitialMilliseconds: ptr.To[int32](50), MaxSeconds: ptr.To[int32](1)},
			},
		}
		for _, backup := range servers[1:] {
			s.Backups = append(s.Backups, v1alpha1.Server{URL: backup.cutter.URL()})
		}
		return s
	}
	return &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: "line", Namespace: "test"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         side(l.local),
			Remote:        side(l.remotes...),
			LocalToRemote: []v1alpha1.Rule{{Filter: "up/#", QoS: ptr.To[int32](2)}},
			RemoteToLocal: []v1alpha1.Rule{{Filter: "down/#", QoS: ptr.To[int32](2)}},
			Delivery:      &v1alpha1.Delivery{InflightWindow: ptr.To[int32](inflight)},
		},
	}
}

// direction is the direction of a stream.
type direction int

const (
	up   direction = iota // local to remote
	down                  // remote to local
)

// stream is numbered traffic over the line.
type stream struct {
	direction direction
	name      string
	qos       byte
	from      *server
	publisher *traffic.Publisher
	collector *traffic.Collector
}

func (s *stream) topic() string { return [...]string{"up/", "down/"}[s.direction] + s.name }

func (l *line) collect(d direction, name string, qos byte, from, to []*server) {
	l.Helper()
	s := &stream{direction: d, name: name, qos: qos, from: from[0]}
	var brokers []*mqtttest.Broker
	for _, server := range to {
		brokers = append(brokers, server.Broker)
	}
	s.collector = mqtttest.StartCollector(l.T, s.topic(), name, brokers...)
	l.streams = append(l.streams, s)
}

// flow waits until n more messages of each stream have arrived.
func (l *line) flow(n int, streams ...*stream) {
	l.Helper()
	var counts []int
	for _, s := range streams {
		counts = append(counts, s.collector.Count())
	}
	for i, s := range streams {
		if err := s.collector.WaitCount(counts[i]+n, eventTimeout); err != nil {
			l.fatalf("stream %s does not continue: %v", s.name, err)
		}
	}
}

// fatalf fails the test with the latest faults and the seed.
func (l *line) fatalf(format string, args ...any) {
	l.Helper()
	l.fatalUntil(time.Now(), format, args...)
}

// fatalUntil is like fatalf, with the faults until end.
func (l *line) fatalUntil(end time.Time, format string, args ...any) {
	l.Helper()
	l.Fatalf("%s\nMQTT %s, -seed=%d, the faults until then:%s", fmt.Sprintf(format, args...), version, *seed, l.history.until(end))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
