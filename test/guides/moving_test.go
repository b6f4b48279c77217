// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package guides

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	movingTimeout = 30 * time.Second
	movingRate    = 200 // messages a second
)

// stream is a stream of numbered messages from one broker to the other.
type stream struct {
	t         *testing.T
	name      string
	publisher *traffic.Publisher
	collector *traffic.Collector
}

func startStream(t *testing.T, name, topic string, from *mqtttest.Broker, filter string, to *mqtttest.Broker) *stream {
	t.Helper()
	s := &stream{t: t, name: name}
	var err error
	s.collector, err = traffic.StartCollector(t.Context(), traffic.CollectorConfig{
		Sources: []traffic.Source{to.Source()}, ClientID: "collector-" + name, Filter: filter, Stream: name,
	}, movingTimeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.collector.Close)
	s.publisher = traffic.StartPublisher(t.Context(), traffic.PublisherConfig{
		Dial: from.Dial, ClientID: "publisher-" + name, Topic: topic, Stream: name, QoS: 1, Rate: movingRate, Size: 64,
	})
	t.Cleanup(s.publisher.Close)
	return s
}

// flow waits until messages of one more second have arrived.
func (s *stream) flow() {
	s.t.Helper()
	if err := s.collector.WaitCount(s.collector.Count()+movingRate, movingTimeout); err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

// finish ends the stream. The test fails if a message is lost.
func (s *stream) finish() traffic.Report {
	s.t.Helper()
	if err := s.publisher.StopAndDrain(movingTimeout); err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
	err := s.collector.WaitAll(s.publisher.Ledger(), movingTimeout)
	report := traffic.Compare(s.publisher.Ledger(), s.collector.Arrivals())
	s.t.Logf("%s: %s", s.name, report)
	if err != nil || len(report.Lost) > 0 {
		s.t.Errorf("%s: %d messages are lost: %v", s.name, len(report.Lost), err)
	}
	return report
}

func TestMoving_CommandsOfThePage_LoseNothing(t *testing.T) {
	var configuration string
	for _, b := range readPage(t, "guides/moving.md") {
		if b.file() == "mosquitto.conf" {
			configuration = b.text
		}
	}
	_, connection, found := strings.Cut(configuration, "\nconnection ")
	if !found {
		t.Fatal("the page has no configuration of Mosquitto's bridge")
	}
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", Persistence: true})
	servers := []string{"node1.cloud.example:1883", remote.Address()}
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{
		Name: "local", Persistence: true, Extra: "connection " + strings.NewReplacer(servers...).Replace(connection),
	})
	host, port, err := net.SplitHostPort(remote.Address())
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t, "moving.md", append(servers, "mqtt://mosquitto.plant.svc:1883", local.URL(), "-h node1.cloud.example", "-h "+host+" -p "+port)...)
	s.writeFiles()
	streams := []*stream{
		startStream(t, "sensors", "sensors/t1", local, "plant1/sensors/#", remote),
		startStream(t, "commands", "plant1/commands/pump", remote, "commands/#", local),
	}
	flow := func() {
		for _, stream := range streams {
			stream.flow()
		}
	}
	flow() // through the old bridge

	s.run(0, 4) // imports, checks and applies the manifest
	runner := mqtttest.StartRunnerWith(t, filepath.Join(s.dir, "bridge.yaml"))
	runner.WaitActive("", movingTimeout)
	flow() // through both bridges

	local.Stop()
	s.run(4, 5) // removes the old bridge from the file
	local.SetExtra("")
	local.Start()
	s.run(5, 6)
	if remote.HasSession("plant1") {
		t.Error("the remote server still has the session of the old bridge")
	}
	runner.WaitActive("", movingTimeout)
	flow() // through the new bridge

	for _, stream := range streams {
		if report := stream.finish(); report.Duplicates == 0 {
			t.Errorf("%s: no message arrived twice, although two bridges ran", stream.name)
		}
	}
	s.run(6, s.count())
	s.finish()
}
