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

// setting is the server, the version and the directions of one bridge.
type setting struct {
	peer    peer
	remote  server
	version v1alpha1.ProtocolVersion // of both sides
	ways    []string                 // "up", which is local to remote, and "down"
}

func (s setting) String() string {
	if len(s.ways) == 2 {
		return "MQTT " + string(s.version)
	}
	return "MQTT " + string(s.version) + ", " + s.ways[0]
}

// line is a bridge between a separate Mosquitto and the remote server. Its topics and its client
// identifier are unique, so that the remote server can serve several lines in parallel.
type line struct {
	*testing.T
	setting
	name   string
	local  *mqtttest.Broker
	bridge *v1alpha1.MQTTBridge
	runner *mqtttest.Runner
}

var lines atomic.Int64

// localInflight is the largest number of messages in flight from the local broker to the bridge.
const localInflight = 1000

// newLine starts the local broker. The test changes the manifest and then connects.
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
				Credentials:     mqtttest.Login("login"),
				Failover: &v1alpha1.Failover{
					Retry: &v1alpha1.Retry{InitialMilliseconds: ptr.To[int32](50), MaxSeconds: ptr.To[int32](1)},
				},
			},
		},
	}
	if up(s) {
		l.bridge.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: l.topic("up/#"), QoS: ptr.To[int32](2)}}
	}
	if down(s) {
		l.bridge.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: l.topic("down/#"), QoS: ptr.To[int32](2)}}
	}
	return l
}

// topic returns a topic or filter of this line.
func (l *line) topic(rest string) string { return l.name + "/" + rest }

// connect starts the runner and waits until both sides are connected.
func (l *line) connect() {
	l.Helper()
	l.prepare(password)
	l.runner.Start()
	l.runner.WaitActive("primary", eventTimeout)
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
	name     string // first level of its topics
	from, to traffic.Source
}

func (l *line) up() way   { return way{"up", l.local.Source(), l.remote.Source()} }
func (l *line) down() way { return way{"down", l.remote.Source(), l.local.Source()} }

// directions returns the directions in which the line forwards.
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

// busy returns the directions in which many messages can be in transit.
func (l *line) busy() []way {
	if l.peer.hangs {
		return []way{l.up()}
	}
	return l.directions()
}

// ordered reports whether queued messages of the server arrive in order.
func (l *line) ordered(w way) bool { return w.name == "up" || !l.peer.reorders }

// qos returns the QoS at which a message arrives.
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

// stream starts a collector at the destination and then a publisher at the source.
func (l *line) stream(w way, cfg traffic.PublisherConfig) *stream {
	l.Helper()
	s := l.listen(w, cfg.QoS)
	s.publish(cfg)
	return s
}

// listen starts a collector.
func (l *line) listen(w way, qos byte) *stream {
	l.Helper()
	s := &stream{line: l, way: w, qos: qos}
	name := s.name()
	var err error
	s.collector, err = traffic.StartCollector(l.Context(), traffic.CollectorConfig{
		Sources: []traffic.Source{w.to}, ClientID: "collector-" + name, Filter: s.topic(), Stream: name,
	}, eventTimeout)
	must(l.T, err)
	l.Cleanup(s.collector.Close)
	return s
}

// publish starts a publisher.
func (s *stream) publish(cfg traffic.PublisherConfig) {
	name := s.name()
	s.endless = cfg.Count == 0
	cfg.Dial, cfg.ClientID, cfg.Topic, cfg.Stream, cfg.QoS = s.way.from.Dial, "publisher-"+name, s.topic(), name, s.qos
	s.publisher = traffic.StartPublisher(s.line.Context(), cfg)
	s.line.Cleanup(s.publisher.Close)
}

func (s *stream) name() string  { return fmt.Sprintf("%s-%s%d", s.line.name, s.way.name, s.qos) }
func (s *stream) topic() string { return s.line.topic(fmt.Sprintf("%s/qos%d", s.way.name, s.qos)) }

// flow waits until n more messages have arrived.
func (s *stream) flow(n int) {
	s.line.Helper()
	must(s.line.T, s.collector.WaitCount(s.collector.Count()+n, eventTimeout))
}

// whole waits for all messages of a stream that has ended or was stopped. It fails the test if an
// acknowledged message is lost or out of order.
func (s *stream) whole() traffic.Report {
	t := s.line.T
	t.Helper()
	if s.endless {
		must(t, s.publisher.StopAndDrain(drainTimeout))
	} else {
		must(t, s.publisher.WaitDone(drainTimeout))
	}
	arrived := s.collector.WaitAll(s.publisher.Ledger(), drainTimeout)
	r := traffic.Compare(s.publisher.Ledger(), s.collector.Arrivals())
	t.Logf("%s, QoS %d: %s", s.way.name, s.qos, r)
	if arrived != nil || len(r.Lost) > 0 {
		t.Errorf("%s, QoS %d: %d acknowledged messages are lost (%v)", s.way.name, s.qos, len(r.Lost), arrived)
	}
	if len(r.Disorder) > 0 && s.line.ordered(s.way) && !s.anyOrder {
		t.Errorf("%s, QoS %d: %d messages arrived out of order", s.way.name, s.qos, len(r.Disorder))
	}
	return r
}

// stop stops streams that have no Count.
func stop(streams []*stream) {
	for _, s := range streams {
		s.publisher.Stop()
	}
}

// onceEach fails the test if a message arrived twice.
func (s *stream) onceEach(r traffic.Report) {
	s.line.Helper()
	if r.Duplicates > 0 {
		s.line.Errorf("%s, QoS %d: %d messages arrived twice", s.way.name, s.qos, r.Duplicates)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
