// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// rate is the rate of a stream in messages a second.
	rate = 50
	// flowing is the number of messages that show that a stream flows.
	flowing = 25
)

// stream is the traffic at one QoS. If messages come from the side that loses its server, each
// server has a publisher.
type stream struct {
	qos   byte
	parts []*part
}

// part is the traffic of one publisher.
type part struct {
	publisher *traffic.Publisher
	collector *traffic.Collector
	to        string // the server at which it arrives when the backup is active
	// late is set if the bridge subscribes at the source later: messages that were published before
	// do not count.
	late bool
}

func (w *world) newStream(qos byte, size int) *stream {
	w.Helper()
	add := func(name string, source *mqtttest.Broker, late bool, to ...*mqtttest.Broker) *part {
		topic := w.topics() + name
		return &part{
			collector: mqtttest.StartCollector(w, topic, name, to...),
			publisher: mqtttest.StartPublisher(w, source, traffic.PublisherConfig{Topic: topic, Stream: name, QoS: qos, Rate: rate, Size: size}),
			to:        to[len(to)-1].Name,
			late:      late,
		}
	}
	if w.direction == toward {
		return &stream{qos, []*part{add(fmt.Sprint("to-", qos), w.other, false, w.primary, w.backup)}}
	}
	return &stream{qos, []*part{
		add(fmt.Sprint("primary-", qos), w.primary, false, w.other),
		add(fmt.Sprint("backup-", qos), w.backup, true, w.other),
	}}
}

// switched waits until the stream arrives through the backup, and flows.
func (s *stream) switched(after time.Time, timeout time.Duration) error {
	p := s.parts[len(s.parts)-1]
	first, err := p.collector.WaitFrom(p.to, after, timeout)
	if err != nil {
		return err
	}
	return p.collector.WaitCount(int(first.Seq)-p.from()+flowing, eventTimeout)
}

// from returns the number of the first message that counts, minus one.
func (p *part) from() int {
	if !p.late {
		return 0
	}
	arrivals := p.collector.Arrivals()
	if len(arrivals) == 0 {
		return 0
	}
	return int(arrivals[0].Seq) - 1
}

// ledger returns the publisher's ledger without the messages that do not count.
func (p *part) ledger() traffic.Ledger {
	return p.publisher.Ledger().From(uint64(p.from()) + 1)
}

// silences returns the times between two first arrivals of the stream, from the latest arrival before the
// fault until end.
func (s *stream) silences(fault, end time.Time) []traffic.Silence {
	var arrivals [][]traffic.Arrival
	for _, p := range s.parts {
		arrivals = append(arrivals, p.collector.Arrivals())
	}
	return traffic.Silences(fault, end, arrivals...)
}

// judge waits for all messages of a part and returns the report.
func (p *part) judge(w *world, fault time.Time) traffic.Report {
	w.Helper()
	arrived := p.collector.WaitAll(p.ledger(), drainTimeout)
	r := traffic.Compare(p.ledger(), p.collector.Arrivals())
	if arrived != nil || len(r.Lost) > 0 {
		w.Errorf("%d acknowledged messages are lost (%v)\n%s", len(r.Lost), arrived, r)
	}
	if len(r.Disorder) > 0 {
		w.Errorf("messages arrived out of order: %s", r)
	}
	for _, again := range r.DuplicateArrivals {
		if again.Time.Before(fault) {
			w.Errorf("message %d arrived twice before the fault", again.Seq)
		}
	}
	return r
}
