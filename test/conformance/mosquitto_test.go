// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

var connectLine = regexp.MustCompile(`New (?:client|bridge) connected from \S+ as ` + bridgeID + ` \(.*u'([^']*)'`)

// publishText is in the line of each message of the bridge.
const publishText = "Received PUBLISH from " + bridgeID + " "

// recordsLog returns a function that notes the packets of the bridge in the log of a Mosquitto. It ends
// the earlier connection of a client before it accepts the next, and is one thread, so that each message
// is of the client that has connected last.
func (h *history) recordsLog(server string) func(at time.Time, line string) {
	latest := act{server: server}
	return func(at time.Time, line string) {
		switch {
		case strings.Contains(line, publishText):
			next := latest
			next.at = at
			h.add(next)
		case strings.Contains(line, " connected from "):
			if found := connectLine.FindStringSubmatch(line); found != nil {
				latest.user, latest.connected = found[1], at
				h.add(act{at: at, server: server, user: latest.user, connected: at, connect: true})
			}
		}
	}
}

// brokerRound is two runners between two Mosquittos, with a random schedule.
type brokerRound struct {
	*testing.T
	twins    *twins
	schedule *schedule
	streams  []*brokerStream
}

type brokerStream struct {
	traffic.PublisherConfig
	from      *mqtttest.Broker
	publisher *traffic.Publisher
	collector *traffic.Collector
}

func newBrokerRound(t *testing.T, seed uint64) *brokerRound {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 3))
	p := pairSettings{linked: random.IntN(3) > 0, timeout: time.Duration(random.IntN(2)) * 3 * time.Second}
	s := settings{version: versions[random.IntN(2)], window: 100, ackTimeout: 5}
	r := &brokerRound{T: t}
	var brokers [2]*mqtttest.Broker
	var proxies [2]*mqtttest.Proxy
	for i, name := range []string{"local", "primary"} {
		brokers[i] = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, LogPackets: true})
		proxies[i] = mqtttest.StartProxy(t, brokers[i].Address(), 0)
	}
	r.twins = newTwins(t, s.bridge(proxies[0].URL(), proxies[1].URL()), p)
	for i, b := range brokers {
		b.FollowLog(r.twins.recordsLog(b.Name))
		for _, qos := range []byte{1, 2} {
			direction := []string{"up", "down"}[i]
			name := fmt.Sprintf("%s%d", direction, qos)
			topic := direction + "/" + name
			r.streams = append(r.streams, &brokerStream{
				PublisherConfig: traffic.PublisherConfig{Topic: topic, Stream: name, QoS: qos, Rate: 50},
				from:            b, collector: mqtttest.StartCollector(t, topic, name, brokers[1-i]),
			})
		}
	}
	r.schedule = newSchedule(random, r.twins, func(i int, _ bool) { proxies[i].Cut() })
	t.Logf("MQTT %s, %s", s.version, p)
	return r
}

func (r *brokerRound) run(seed uint64) {
	r.Helper()
	defer func() {
		if r.Failed() {
			r.schedule.log(r, "Mosquitto", seed)
		}
	}()
	r.twins.startAll()
	r.settled()
	for _, s := range r.streams {
		s.publisher = mqtttest.StartPublisher(r.T, s.from, s.PublisherConfig)
	}
	r.schedule.run(r.Failed)
	r.twins.settle()
	r.settled()
	for _, s := range r.streams {
		r.check(s)
	}
	for _, v := range r.twins.violations() {
		r.Error(v)
	}
}

// settled waits until one runner is active and connected.
func (r *brokerRound) settled() {
	r.Helper()
	mqtttest.Eventually(r.T, settleTimeout, "one runner is active and connected, and the other is its standby", func() error {
		if err := r.twins.oneActive(); err != nil {
			return err
		}
		return r.twins.active().Connected("primary") // a hand-over may change the active one meanwhile
	})
}

// check ends a stream, and fails the test if messages are lost, in another order, or arrived twice
// although the bridge has not connected meanwhile.
func (r *brokerRound) check(s *brokerStream) {
	r.Helper()
	if err := s.publisher.StopAndDrain(drainTimeout); err != nil {
		r.Fatal(err)
	}
	arrived := s.collector.WaitAll(s.publisher.Ledger(), drainTimeout)
	arrivals := s.collector.Arrivals()
	result := traffic.Compare(s.publisher.Ledger(), arrivals)
	if arrived != nil || len(result.Lost)+len(result.Disorder) > 0 {
		r.Errorf("%s: %v: %s", s.Stream, arrived, result)
	}
	first := map[uint64]time.Time{}
	for _, a := range arrivals {
		if _, ok := first[a.Seq]; !ok {
			first[a.Seq] = a.Time
		}
	}
	for _, again := range result.DuplicateArrivals {
		if !r.twins.connectedBetween(first[again.Seq].Add(-reconnecting), again.Time.Add(reconnecting)) {
			r.Errorf("%s: message %d arrived at %s and at %s, and the bridge has not connected meanwhile", s.Stream, again.Seq, clock(first[again.Seq]), clock(again.Time))
		}
	}
}

// At no time do two runners forward between real brokers, as the brokers' logs show.
func TestTwoRunners_RandomSchedulesWithMosquitto_OneForwards(t *testing.T) {
	runSchedules(t, max(scheduleCount()/6, 1), func(t *testing.T, seed uint64) { newBrokerRound(t, seed).run(seed) })
}
