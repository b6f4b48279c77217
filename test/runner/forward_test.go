// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func TestForwarding_BothDirectionsAndEachQoS_ArrivesOnceInOrder(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	r := mqtttest.StartRunner(t, downToo(manifest("both", local.URL(), remote.URL())))
	r.WaitActive("primary", eventTimeout)
	for _, direction := range []struct {
		topic    string
		from, to *mqtttest.Broker
	}{{"up", local, remote}, {"down", remote, local}} {
		for qos := range byte(3) {
			t.Run(fmt.Sprintf("%s, QoS %d", direction.topic, qos), func(t *testing.T) {
				stream := fmt.Sprint(direction.topic, qos)
				topic := direction.topic + "/" + stream
				c := mqtttest.StartCollector(t, topic, stream, direction.to)
				p := mqtttest.StartPublisher(t, direction.from, traffic.PublisherConfig{Topic: topic, Stream: stream, QoS: qos, Rate: 1000, Count: 500})
				must(t, p.WaitDone(eventTimeout))
				onceEach(t, judge(t, p, c, c.WaitAll(p.Ledger(), eventTimeout)))
				for _, a := range c.Arrivals() {
					if a.QoS != qos {
						t.Fatalf("message %d arrived at QoS %d, want %d", a.Seq, a.QoS, qos)
					}
				}
			})
		}
	}
}

// With MQTT 3.1.1, Mosquitto acknowledges and drops QoS 2 messages above its max_inflight_messages, and no
// client can notice it. So the bridge must not have more of them in flight, including messages of an earlier
// connection or process.
func TestForwarding_DestinationWithDefaultLimits_LosesNoQoS2Message(t *testing.T) {
	for _, c := range []struct {
		name string
		// qos are the QoS of the streams, which run in parallel.
		qos []byte
		// disturb is called while messages are in flight.
		disturb func(*mqtttest.Runner, *mqtttest.Proxy)
	}{
		{"undisturbed", []byte{2}, nil},
		{"with QoS 1 messages", []byte{2, 1}, nil},
		{"connection lost", []byte{2}, func(_ *mqtttest.Runner, link *mqtttest.Proxy) { link.Cut() }},
		{"connection lost, with QoS 1 messages", []byte{2, 1}, func(_ *mqtttest.Runner, link *mqtttest.Proxy) { link.Cut() }},
		{"runner killed", []byte{2}, func(r *mqtttest.Runner, _ *mqtttest.Proxy) { r.Kill(); r.Start() }},
		{"runner killed, with QoS 1 messages", []byte{2, 1}, func(r *mqtttest.Runner, _ *mqtttest.Proxy) { r.Kill(); r.Start() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// The collector may fall behind by the whole stream: Mosquitto drops its messages above 1,000.
			const count, times = 900, 3
			local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
			remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", DefaultLimits: true})
			link := mqtttest.StartProxy(t, remote.Address(), 0)
			r := mqtttest.StartRunner(t, manifest("burst", local.URL(), link.URL()))
			r.WaitActive("primary", eventTimeout)
			var publishers []*traffic.Publisher
			var collectors []*traffic.Collector
			for _, qos := range c.qos {
				stream := fmt.Sprintf("qos%d", qos)
				collectors = append(collectors, mqtttest.StartCollector(t, "up/"+stream, stream, remote))
				publishers = append(publishers, mqtttest.StartPublisher(t, local, traffic.PublisherConfig{
					Topic: "up/" + stream, Stream: stream, QoS: qos, Count: count,
				}))
			}
			for i := 1; c.disturb != nil && i <= times; i++ {
				must(t, publishers[0].WaitAcknowledged(i*count/(times+1), eventTimeout))
				c.disturb(r, link)
			}
			for i, p := range publishers {
				must(t, p.WaitDone(eventTimeout))
				report := judge(t, p, collectors[i], collectors[i].WaitAll(p.Ledger(), eventTimeout))
				if c.disturb == nil {
					onceEach(t, report)
				}
			}
		})
	}
}

// oneMessage is published to the local broker. want and atQoS are its topic and QoS at the remote
// broker; if want is empty, the message must not be forwarded.
type oneMessage struct {
	topic string
	qos   byte
	want  string
	atQoS byte
}

func TestRules_TopicsAndQoS_AreApplied(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		rules    []v1alpha1.Rule
		messages []oneMessage
	}{
		{
			name:  "a rule without a topic keeps the topic, and limits to QoS 1",
			rules: []v1alpha1.Rule{{Filter: "a/#"}},
			messages: []oneMessage{
				{"a/b", 0, "a/b", 0}, {"a/b/c", 1, "a/b/c", 1}, {"a", 2, "a", 1}, {"b/a", 1, "", 0},
			},
		},
		{
			name:     "a prefix before ${topic}",
			rules:    []v1alpha1.Rule{{Filter: "sensors/#", Topic: "plant1/${topic}"}},
			messages: []oneMessage{{"sensors/a/b", 1, "plant1/sensors/a/b", 1}},
		},
		{
			name:  "captures contain the levels that + and # matched, in order",
			rules: []v1alpha1.Rule{{Filter: "in/+/x/+/#", Topic: "out/${2}/${1}/${3}"}},
			messages: []oneMessage{
				{"in/1/x/2/3/4", 1, "out/2/1/3/4", 1}, {"in//x//", 1, "out///", 1}, {"in/1/y/2/3", 1, "", 0},
			},
		},
		{
			name:     "if # matched no level, the slash before its capture is removed",
			rules:    []v1alpha1.Rule{{Filter: "in/#", Topic: "out/${1}"}},
			messages: []oneMessage{{"in", 1, "out", 1}, {"in/a", 1, "out/a", 1}},
		},
		{
			name:     "captures can reorder the levels of a topic",
			rules:    []v1alpha1.Rule{{Filter: "commands/+/set", Topic: "${1}-set"}},
			messages: []oneMessage{{"commands/pump 7/set", 1, "pump 7-set", 1}, {"commands/ü/set", 1, "ü-set", 1}},
		},
		{
			name:  "excluded topics are not forwarded",
			rules: []v1alpha1.Rule{{Filter: "a/#", Exclude: []string{"a/debug/#", "a/+/raw"}}},
			messages: []oneMessage{
				{"a/debug/x", 1, "", 0}, {"a/debug", 1, "", 0}, {"a/7/raw", 1, "", 0}, {"a/7/raw/x", 1, "a/7/raw/x", 1}, {"a/7", 1, "a/7", 1},
			},
		},
		{
			name:  "qos lowers the QoS and never raises it",
			rules: []v1alpha1.Rule{{Filter: "zero/#", QoS: ptr.To[int32](0)}, {Filter: "two/#", QoS: ptr.To[int32](2)}},
			messages: []oneMessage{
				{"zero/x", 2, "zero/x", 0}, {"two/x", 2, "two/x", 2}, {"two/x", 1, "two/x", 1}, {"two/x", 0, "two/x", 0},
			},
		},
		{
			name: "several rules apply independently",
			rules: []v1alpha1.Rule{
				{Filter: "a/+", Topic: "one/${1}"}, {Filter: "b/#", Topic: "two/${1}"},
			},
			messages: []oneMessage{{"a/x", 1, "one/x", 1}, {"b/x/y", 1, "two/x/y", 1}, {"c", 1, "", 0}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
			remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
			b := manifest("rules", local.URL(), remote.URL())
			// The mark is forwarded after each message. When it has arrived, a message that must
			// not be forwarded has not been forwarded.
			b.Spec.LocalToRemote = slices.Concat(tc.rules, []v1alpha1.Rule{{Filter: "mark"}})
			mqtttest.StartRunner(t, b).WaitActive("primary", eventTimeout)
			for i, m := range tc.messages {
				stream := fmt.Sprint("m", i)
				c := mqtttest.StartCollector(t, "#", stream, remote)
				publishOne(t, local, m.topic, stream, m.qos)
				publishOne(t, local, "mark", stream, 1)
				mqtttest.Eventually(t, eventTimeout, "the mark arrives", func() error {
					for _, a := range c.Arrivals() {
						if a.Topic == "mark" {
							return nil
						}
					}
					return fmt.Errorf("%d messages arrived", len(c.Arrivals()))
				})
				checkOne(t, m, c.Arrivals())
			}
		})
	}
}

// publishOne publishes a message and waits for its acknowledgement.
func publishOne(t *testing.T, to *mqtttest.Broker, topic, stream string, qos byte) {
	t.Helper()
	p := mqtttest.StartPublisher(t, to, traffic.PublisherConfig{ClientID: "one", Topic: topic, Stream: stream, QoS: qos, Count: 1})
	must(t, p.WaitDone(eventTimeout))
	p.Close()
}

func checkOne(t *testing.T, m oneMessage, arrivals []traffic.Arrival) {
	t.Helper()
	var got []traffic.Arrival
	for _, a := range arrivals {
		if a.Topic != "mark" {
			got = append(got, a)
		}
	}
	switch {
	case m.want == "" && len(got) > 0:
		t.Errorf("%s was forwarded as %s, want no message", m.topic, got[0].Topic)
	case m.want == "":
	case len(got) != 1:
		t.Errorf("%s was forwarded %d times, want 1", m.topic, len(got))
	case got[0].Topic != m.want || got[0].QoS != m.atQoS:
		t.Errorf("%s at QoS %d was forwarded as %s at QoS %d, want %s at QoS %d", m.topic, m.qos, got[0].Topic, got[0].QoS, m.want, m.atQoS)
	}
}

func TestRetain_EachPolicy_IsApplied(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy v1alpha1.RetainPolicy
		// stored and live report whether the remote server retains the message: a message that the
		// local server had retained, and a live message.
		stored, live bool
	}{
		{v1alpha1.RetainKeep, true, false},
		{v1alpha1.RetainClear, false, false},
		{v1alpha1.RetainSet, true, true},
	} {
		t.Run(string(tc.policy), func(t *testing.T) {
			t.Parallel()
			local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
			remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
			p := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/stored", Stream: "s", QoS: 1, Count: 1, Retain: true})
			must(t, p.WaitDone(eventTimeout))
			c := mqtttest.StartCollector(t, "up/#", "s", remote)
			b := manifest("retain", local.URL(), remote.URL())
			b.Spec.LocalToRemote[0].Retain = &tc.policy
			mqtttest.StartRunner(t, b).WaitActive("primary", eventTimeout)
			publishOne(t, local, "up/live", "s", 1)
			mqtttest.Eventually(t, eventTimeout, "both messages arrive", func() error {
				if n := len(c.Arrivals()); n != 2 {
					return fmt.Errorf("%d arrived", n)
				}
				return nil
			})

			// The retained messages of the remote server are sent to a new subscriber.
			mark := mqtttest.StartPublisher(t, remote, traffic.PublisherConfig{ClientID: "mark", Topic: "up/zz", Stream: "late", QoS: 1, Count: 1, Retain: true})
			must(t, mark.WaitDone(eventTimeout))
			late := mqtttest.StartCollector(t, "up/#", "", remote)
			var stored map[string]bool
			mqtttest.Eventually(t, eventTimeout, "retained messages arrive", func() error {
				stored = map[string]bool{}
				for _, a := range late.Arrivals() {
					stored[a.Topic] = a.Retained
				}
				want := 1
				for _, s := range []bool{tc.stored, tc.live} {
					if s {
						want++
					}
				}
				if len(stored) < want {
					return fmt.Errorf("stored: %v", stored)
				}
				return nil
			})
			if stored["up/stored"] != tc.stored || stored["up/live"] != tc.live {
				t.Errorf("retained by the remote server: %v, want up/stored %t, up/live %t", stored, tc.stored, tc.live)
			}
		})
	}
}

func TestForwarding_LargeMessages_Arrive(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	mqtttest.StartRunner(t, manifest("large", local.URL(), remote.URL())).WaitActive("primary", eventTimeout)
	c := mqtttest.StartCollector(t, "up/#", "s", remote)
	p := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/x", Stream: "s", QoS: 1, Count: 20, Size: 1 << 20})
	must(t, p.WaitDone(eventTimeout))
	onceEach(t, judge(t, p, c, c.WaitAll(p.Ledger(), eventTimeout)))
}

func TestForwarding_PacketIdentifiers_WrapAround(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	mqtttest.StartRunner(t, manifest("wrap", local.URL(), remote.URL())).WaitActive("primary", eventTimeout)
	c := mqtttest.StartCollector(t, "up/#", "s", remote)
	p := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/x", Stream: "s", QoS: 1, Count: 70_000})
	must(t, p.WaitDone(2*drainTimeout))
	onceEach(t, judge(t, p, c, c.WaitAll(p.Ledger(), drainTimeout)))
}
