// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// pairRate is the rate of each stream of a pairLine, in messages a second.
	pairRate = 500
	// pairRepetitions is how often a test repeats an event.
	pairRepetitions = 5
)

// pairLine are two runners between two brokers, with streams at QoS 1 and 2 in both directions.
type pairLine struct {
	t             *testing.T
	local, remote *mqtttest.Broker
	pair          *mqtttest.Pair
	streams       []*pairStream
	// control is a stream that passes the local broker only.
	control *pairStream
	active  int
	// gaps are the longest gaps of the streams during each event, less the gap of control.
	gaps []time.Duration
}

type pairStream struct {
	name      string
	publisher *traffic.Publisher
	collector *traffic.Collector
}

// newPairLine starts the brokers, the runners and the streams.
func newPairLine(t *testing.T, linked bool, args ...string) *pairLine {
	t.Helper()
	l := &pairLine{t: t}
	for name, b := range map[string]**mqtttest.Broker{"local": &l.local, "remote": &l.remote} {
		*b = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true})
	}
	l.pair = mqtttest.NewPair(t, downToo(manifest("pair", l.local.URL(), l.remote.URL())), linked, args...)
	l.pair.Start()
	for _, qos := range []byte{1, 2} {
		l.stream("up", qos, l.local, l.remote)
		l.stream("down", qos, l.remote, l.local)
	}
	l.control = l.newStream("control", 1, l.local, l.local)
	l.flow()
	return l
}

func (l *pairLine) stream(direction string, qos byte, from, to *mqtttest.Broker) {
	l.streams = append(l.streams, l.newStream(direction, qos, from, to))
}

func (l *pairLine) newStream(direction string, qos byte, from, to *mqtttest.Broker) *pairStream {
	name := fmt.Sprintf("%s-%d", direction, qos)
	topic := direction + "/" + name
	return &pairStream{
		name:      name,
		collector: mqtttest.StartCollector(l.t, topic, name, to),
		publisher: mqtttest.StartPublisher(l.t, from, traffic.PublisherConfig{Topic: topic, Stream: name, QoS: qos, Rate: pairRate, Size: 128}),
	}
}

// flow waits until messages of all streams have arrived for half a second.
func (l *pairLine) flow() {
	l.t.Helper()
	for _, s := range l.streams {
		must(l.t, s.collector.WaitCount(s.collector.Count()+pairRate/2, 2*eventTimeout))
	}
}

// during brings an event about, waits until messages flow again, and records the longest gap.
func (l *pairLine) during(event func()) {
	l.t.Helper()
	l.flow()
	from := time.Now()
	event()
	l.flow()
	gap := time.Duration(0)
	for _, s := range l.streams {
		gap = max(gap, longestGap(s.collector.Arrivals(), from))
	}
	control := longestGap(l.control.collector.Arrivals(), from)
	l.t.Logf("gap %s, control %s", gap.Round(time.Millisecond), control.Round(time.Millisecond))
	l.gaps = append(l.gaps, max(gap-control, 0))
}

// longestGap returns the longest time between two arrivals, of those that end after a time.
func longestGap(arrivals []traffic.Arrival, from time.Time) (longest time.Duration) {
	for i := 1; i < len(arrivals); i++ {
		if arrivals[i].Time.After(from) {
			longest = max(longest, arrivals[i].Time.Sub(arrivals[i-1].Time))
		}
	}
	return longest
}

// judge ends the streams, and fails the test if messages are lost, or arrived twice although once is
// true, or if the gaps exceed their limits.
func (l *pairLine) judge(once bool, median, worst time.Duration) {
	l.t.Helper()
	for _, s := range l.streams {
		must(l.t, s.publisher.StopAndDrain(drainTimeout))
	}
	for _, s := range l.streams {
		arrived := s.collector.WaitAll(s.publisher.Ledger(), drainTimeout)
		r := traffic.Compare(s.publisher.Ledger(), s.collector.Arrivals())
		l.t.Logf("%s: %s", s.name, r)
		if arrived != nil || len(r.Lost) > 0 {
			l.t.Errorf("%s: %d acknowledged messages are lost (%v)", s.name, len(r.Lost), arrived)
		}
		if once {
			onceEach(l.t, r)
		}
	}
	slices.Sort(l.gaps)
	m, w := l.gaps[len(l.gaps)/2], l.gaps[len(l.gaps)-1]
	l.t.Logf("gap: median %s, worst %s of %d", m.Round(time.Millisecond), w.Round(time.Millisecond), len(l.gaps))
	if m > median || w > worst {
		l.t.Errorf("the gap has the median %s and was at worst %s, want at most %s and %s", m, w, median, worst)
	}
}

func (l *pairLine) runner() *mqtttest.Runner  { return l.pair.Runners[l.active] }
func (l *pairLine) standby() *mqtttest.Runner { return l.pair.Runners[1-l.active] }

// unchanged fails the test unless the active runner has been active all the time.
func (l *pairLine) unchanged() {
	l.t.Helper()
	l.pair.WaitRoles(l.active)
	if n := l.standby().Metrics().Sum("mqttbridge_member_activations_total"); n != 0 {
		l.t.Errorf("the standby was active %v times", n)
	}
	if n := l.runner().Metrics().Sum("mqttbridge_member_activations_total"); n != 1 {
		l.t.Errorf("the active runner became active %v times, want 1", n)
	}
}
