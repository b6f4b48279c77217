// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// setting is what a bridge is tried with.
type setting struct {
	peer    peer
	remote  server
	version v1alpha1.ProtocolVersion // of both sides
	ways    []string                 // "up", local to remote, and "down"
}

func (s setting) String() string {
	if len(s.ways) == 2 {
		return "MQTT " + string(s.version)
	}
	return "MQTT " + string(s.version) + ", " + s.ways[0]
}

// line is a bridge between a Mosquitto of its own and the remote server. Its
// topics and its client identifier are its own, so that the remote server can have
// several lines at a time.
type line struct {
	*testing.T
	setting
	name   string
	local  *mqtttest.Broker
	bridge *v1alpha1.MQTTBridge
	runner *mqtttest.Runner
}

var lines atomic.Int64

// localInflight is how many messages the local broker lets the bridge hold.
const localInflight = 1000

// newLine starts the local broker. Change the manifest, then connect.
func newLine(t *testing.T, s setting) *line {
	t.Helper()
	l := &line{T: t, setting: s, name: fmt.Sprintf("line%d", lines.Add(1))}
	l.local = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Persistence: true, MaxInflight: localInflight})
	l.bridge = &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: l.name, Namespace: "test"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local: v1alpha1.Side{Primary: v1alpha1.Server{URL: l.local.URL()}, ProtocolVersion: &s.version},
			Remote: v1alpha1.Side{
				Primary:         v1alpha1.Server{URL: s.remote.URL()},
				ProtocolVersion: &s.version,
				Credentials:     &v1alpha1.Credentials{SecretRef: v1alpha1.LocalReference{Name: "login"}},
				Failover: &v1alpha1.Failover{
					Retry: &v1alpha1.Retry{InitialMilliseconds: ptr.To[int32](50), MaxSeconds: ptr.To[int32](1)},
				},
			},
		},
	}
	if up(s) {
		l.bridge.Spec.Forwards = []v1alpha1.Rule{{Filter: l.topic("up/#"), QoS: ptr.To[int32](2)}}
	}
	if down(s) {
		l.bridge.Spec.Subscriptions = []v1alpha1.Rule{{Filter: l.topic("down/#"), QoS: ptr.To[int32](2)}}
	}
	return l
}

// topic is a topic or filter of this line.
func (l *line) topic(rest string) string { return l.name + "/" + rest }

// connect starts the runner and waits for both sides.
func (l *line) connect() {
	l.Helper()
	l.prepare(password)
	l.runner.Start()
	l.runner.WaitActive("primary", soon)
}

// prepare writes the manifest and the login.
func (l *line) prepare(password string) {
	l.Helper()
	l.runner = mqtttest.NewRunner(l.T, l.bridge)
	l.runner.SetFile("login", "username", username)
	l.runner.SetFile("login", "password", password)
}

// way is a direction of a line.
type way struct {
	name     string // the first level of its topics
	from, to traffic.Source
}

func (l *line) up() way   { return way{"up", l.local.Source(), l.remote.Source()} }
func (l *line) down() way { return way{"down", l.remote.Source(), l.local.Source()} }

// directions are the ways that the line goes: both, where the server bears it.
func (l *line) directions() []way {
	var ways []way
	for _, name := range l.ways {
		if name == "up" {
			ways = append(ways, l.up())
		} else {
			ways = append(ways, l.down())
		}
	}
	return ways
}

// busy are the directions that many messages can go at a time.
func (l *line) busy() []way {
	if l.peer.hangs {
		return []way{l.up()}
	}
	return l.directions()
}

// ordered reports whether messages that wait at the server come in order.
func (l *line) ordered(w way) bool { return w.name == "up" || !l.peer.reorders }

// qos is the QoS at which a message arrives that is published with it.
func (l *line) qos(published byte) byte { return min(published, l.peer.maxQoS) }

// stream is numbered traffic over the line.
type stream struct {
	line      *line
	way       way
	qos       byte
	endless   bool
	anyOrder  bool
	publisher *traffic.Publisher
	collector *traffic.Collector
}

// stream starts to collect on the far side and then to publish on the near one.
func (l *line) stream(w way, cfg traffic.PublisherConfig) *stream {
	l.Helper()
	s := l.listen(w, cfg.QoS)
	s.publish(cfg)
	return s
}

// listen starts to collect.
func (l *line) listen(w way, qos byte) *stream {
	l.Helper()
	s := &stream{line: l, way: w, qos: qos}
	name := s.name()
	var err error
	s.collector, err = traffic.StartCollector(l.Context(), traffic.CollectorConfig{
		Sources: []traffic.Source{w.to}, ClientID: "collector-" + name, Filter: s.topic(), Stream: name,
	}, soon)
	must(l.T, err)
	l.Cleanup(s.collector.Close)
	return s
}

// publish starts to publish.
func (s *stream) publish(cfg traffic.PublisherConfig) {
	name := s.name()
	s.endless = cfg.Count == 0
	cfg.Dial, cfg.ClientID, cfg.Topic, cfg.Stream, cfg.QoS = s.way.from.Dial, "publisher-"+name, s.topic(), name, s.qos
	s.publisher = traffic.StartPublisher(s.line.Context(), cfg)
	s.line.Cleanup(s.publisher.Close)
}

func (s *stream) name() string  { return fmt.Sprintf("%s-%s%d", s.line.name, s.way.name, s.qos) }
func (s *stream) topic() string { return s.line.topic(fmt.Sprintf("%s/qos%d", s.way.name, s.qos)) }

// flow waits until so many more messages have arrived.
func (s *stream) flow(n int) {
	s.line.Helper()
	must(s.line.T, s.collector.WaitCount(s.collector.Count()+n, soon))
}

// whole waits for all of a stream that has an end or was stopped. It fails the test
// where something acknowledged was lost or came out of order.
func (s *stream) whole() traffic.Report {
	t := s.line.T
	t.Helper()
	if s.endless {
		must(t, s.publisher.StopAndDrain(wholly))
	} else {
		must(t, s.publisher.WaitDone(wholly))
	}
	arrived := s.collector.WaitAll(s.publisher.Ledger(), wholly)
	r := traffic.Compare(s.publisher.Ledger(), s.collector.Arrivals())
	t.Logf("%s, QoS %d: %s", s.way.name, s.qos, r)
	if arrived != nil || len(r.Lost) > 0 {
		t.Errorf("%s, QoS %d: acknowledged to the publisher and lost: %d messages (%v)", s.way.name, s.qos, len(r.Lost), arrived)
	}
	if len(r.Disorder) > 0 && s.line.ordered(s.way) && !s.anyOrder {
		t.Errorf("%s, QoS %d: %d messages came out of order", s.way.name, s.qos, len(r.Disorder))
	}
	return r
}

// stop ends streams that have no end of their own.
func stop(streams []*stream) {
	for _, s := range streams {
		s.publisher.Stop()
	}
}

// onceEach fails the test where anything came twice.
func (s *stream) onceEach(r traffic.Report) {
	s.line.Helper()
	if r.Duplicates > 0 {
		s.line.Errorf("%s, QoS %d: %d messages came twice", s.way.name, s.qos, r.Duplicates)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
