// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"crypto/rand"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func arriveInOrder(l *line) {
	l.connect()
	var streams []*stream
	for qos := range byte(3) {
		for _, w := range l.busy() {
			streams = append(streams, l.stream(w, traffic.PublisherConfig{QoS: qos, Rate: 500, Count: 500}))
		}
	}
	for _, s := range streams {
		s.onceEach(s.whole())
		for _, a := range s.collector.Arrivals() {
			if want := l.qos(s.qos); a.QoS != want {
				l.Fatalf("%s: message %d arrived at QoS %d, published at %d; want %d", s.way.name, a.Seq, a.QoS, s.qos, want)
			}
		}
	}
}

func arriveUnchanged(l *line) {
	l.connect()
	for _, w := range l.directions() {
		from, to := l.client(w.from), l.client(w.to)
		to.subscribe(l.topic(w.name + "/#"))
		for _, m := range []struct{ topic, payload string }{
			{"plain", "x"},
			{"empty", ""},
			{"binary", "\x00\xff\x01\xfe"},
			{"not text", "\xc3\x28"},
			{"ü/日本", "ü"},
			{"", "an empty level"},
			{"a//b/", "empty levels"},
			{"$a/$SYS", "a dollar"},
			{"v1.2/x.y", "dots"},
			{"{a}&b=c?d|e", "other characters"},
			{strings.Repeat("long", 50), strings.Repeat("long", 1000)},
		} {
			topic := l.topic(w.name + "/" + m.topic)
			from.publish(topic, 1, false, []byte(m.payload))
			got := to.next()
			if l.peer.topic != nil {
				topic = l.peer.topic(topic)
			}
			if got.Topic() != topic || string(got.Payload()) != m.payload {
				l.Errorf("%s: %q with %q arrived as %q with %q", w.name, topic, m.payload, got.Topic(), got.Payload())
			}
		}
	}
}

func largeArrive(l *line) {
	l.connect()
	for _, size := range []int{1 << 20, 10 << 20} {
		payload := make([]byte, size)
		_, _ = rand.Read(payload) // never fails
		for _, w := range l.directions() {
			from, to := l.client(w.from), l.client(w.to)
			to.subscribe(l.topic(w.name + "/large"))
			for qos := range byte(3) {
				from.publish(l.topic(w.name+"/large"), qos, false, payload)
				if m := to.next(); !bytes.Equal(m.Payload(), payload) {
					l.Errorf("%s: a message of %d bytes at QoS %d arrived with %d other bytes", w.name, size, qos, len(m.Payload()))
				}
			}
		}
	}
}

func largerIsDropped(l *line) {
	const size = "1Mi"
	l.bridge.Spec.Local.MaximumPacketSize = ptr.To(resource.MustParse(size))
	l.bridge.Spec.Remote.MaximumPacketSize = ptr.To(resource.MustParse(size))
	l.connect()
	for _, w := range l.directions() {
		from, to := l.client(w.from), l.client(w.to)
		to.subscribe(l.topic(w.name + "/#"))
		for qos := range byte(3) {
			from.publish(l.topic(w.name+"/larger"), qos, false, make([]byte, 2<<20))
			from.publish(l.topic(w.name+"/next"), 1, false, []byte("x"))
			if m := to.next(); m.Topic() != l.topic(w.name+"/next") {
				l.Errorf("%s: %q arrived, with %d bytes", w.name, m.Topic(), len(m.Payload()))
			}
		}
	}
	// In MQTT 5, a server should drop such a message itself.
	if dropped, faults := l.dropped("too_large"), 3*len(l.directions()); l.version == v1alpha1.ProtocolVersion311 && dropped != faults {
		l.Errorf("%d messages are counted as too_large, want %d", dropped, faults)
	}
}

func wildcardIsDropped(l *line) {
	l.connect()
	there, here := l.client(l.remote.Source()), l.client(l.local.Source())
	here.subscribe(l.topic("down/#"))
	for qos := range byte(2) {
		there.publish(l.topic("down/a"+l.peer.wildcard), qos, false, []byte("x"))
	}
	there.publish(l.topic("down/next"), 1, false, []byte("x"))
	if m := here.next(); m.Topic() != l.topic("down/next") {
		l.Errorf("%q arrived", m.Topic())
	}
	if n := l.dropped("invalid_topic"); n != 2 {
		l.Errorf("%d messages are counted as invalid_topic, want 2", n)
	}
	if strings.Contains(l.runner.Log(), "connection lost") {
		l.Error("the message ended the connection")
	}
}

// dropped returns the runner's count of messages dropped with the given cause.
func (l *line) dropped(cause string) int {
	l.Helper()
	return int(l.runner.Metrics().Sum("mqttbridge_messages_dropped_total", "cause="+cause))
}
