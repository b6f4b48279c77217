// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// direction is a direction of messages.
type direction int

// The directions of messages: from the local to the remote side, and back.
const (
	up direction = iota
	down
)

var directions = []direction{up, down}

// stream is the traffic at one QoS in one direction. If messages come from the remote side, each
// remote server has a publisher.
type stream struct {
	direction direction
	interval  time.Duration // between two messages
	parts     []*part
}

// part is the traffic of one publisher.
type part struct {
	publisher *traffic.Publisher
	collector *traffic.Collector
	source    string
	// ledger and arrivals are set when the publisher has stopped.
	ledger   traffic.Ledger
	arrivals []traffic.Arrival
	report   traffic.Report
}

// line is the configuration of a stream.
type line struct {
	direction     direction
	name          string
	topic, filter string // of the publisher and of the collector
	qos           byte
	rate          int
}

func (w *world) newStream(l line) *stream {
	w.Helper()
	s := &stream{direction: l.direction, interval: time.Second / time.Duration(l.rate)}
	sources, destinations := []*mqtttest.Broker{w.local}, w.remotes
	if l.direction == down {
		sources, destinations = destinations, sources
	}
	for _, source := range sources {
		name := l.name + "-" + source.Name
		s.parts = append(s.parts, &part{
			collector: mqtttest.StartCollector(w, l.filter, name, destinations...),
			publisher: mqtttest.StartPublisher(w, source, traffic.PublisherConfig{Topic: l.topic, Stream: name, QoS: l.qos, Rate: l.rate}),
			source:    source.Name,
		})
	}
	return s
}

// waitFrom waits for a message that was published after the given time and arrives by way of the given
// remote server. Earlier messages have arrived by then.
func (s *stream) waitFrom(remote string, after time.Time) error {
	for _, p := range s.parts {
		from := remote
		if s.direction == down {
			if p.source != remote {
				continue
			}
			from = localName
		}
		if err := p.collector.WaitSent(from, after, drainTimeout); err != nil {
			return err
		}
	}
	return nil
}

// silences returns the times between two first arrivals that ended in the given period, less the distance
// between two messages.
func (s *stream) silences(from, to time.Time) []traffic.Silence {
	var arrivals [][]traffic.Arrival
	for _, p := range s.parts {
		arrivals = append(arrivals, p.arrivals)
	}
	return traffic.Excess(s.interval, from, to, arrivals...)
}

// finish ends the publishers.
func (s *stream) finish(w *world) {
	w.Helper()
	for _, p := range s.parts {
		must(w, p.publisher.StopAndDrain(drainTimeout))
		p.ledger = p.publisher.Ledger()
	}
}

// compare waits until all messages have arrived, and compares them with the published messages.
// Of the messages of a server that the bridge used
// later, only those count that follow the first arrival.
func (s *stream) compare(w *world) {
	w.Helper()
	for _, p := range s.parts {
		p.arrivals = p.collector.Arrivals()
		if p.source != localName && p.source != w.remotes[0].Name {
			if len(p.arrivals) == 0 { // the bridge has not used the server
				continue
			}
			p.ledger = p.ledger.From(p.arrivals[0].Seq)
		}
		if err := p.collector.WaitAll(p.ledger, drainTimeout); err != nil {
			w.Log(err)
		}
		p.arrivals = p.collector.Arrivals()
		if p.report = traffic.Compare(p.ledger, p.arrivals); len(p.report.Disorder) > 0 {
			w.Errorf("messages of %s arrived out of order: %s", p.source, p.report)
		}
	}
}
