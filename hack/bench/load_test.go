// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// Both ends of the load use one broker, without a bridge that could lose or duplicate a message.
func TestLoad_NoBridgeBetween_ArrivesOnceEach(t *testing.T) {
	for _, protocol := range []string{"3.1.1", "5"} {
		for qos := range byte(3) {
			c := benchCase{QoS: qos, Payload: 128, Protocol: protocol}
			t.Run(c.String(), func(t *testing.T) {
				b, err := startBroker("only", route{benchCase: c}, t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(b.stop)
				l, err := startLoad(b.load, b.load, c.level(), c.QoS, c.Payload)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(l.close)
				if err := l.ready(readyWithin, b.alive); err != nil {
					t.Fatal(err)
				}
				trial := &trial{load: l, bridge: b.process, all: []*process{b.process}, qos: qos, length: 500 * time.Millisecond}
				p, err := trial.paced(2000)
				if err != nil {
					t.Fatal(err)
				}
				if p.Sent == 0 || p.Lost+p.Duplicates > 0 {
					t.Errorf("%d sent, %d lost, %d duplicated", p.Sent, p.Lost, p.Duplicates)
				}
			})
		}
	}
}
