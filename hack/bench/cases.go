// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// The bridges that are measured.
const (
	theRunner = "runner"
	thePeer   = "mosquitto"
	// asItComes is Mosquitto with the settings that it has by itself.
	asItComes = "mosquitto, defaults"
)

// benchCase is what a bridge has to do.
type benchCase struct {
	QoS       byte   `json:"qos"`
	Payload   int    `json:"payloadBytes"`
	Protocol  string `json:"protocol"`
	TLS       bool   `json:"tls"`
	RoundTrip int    `json:"roundTripMilliseconds,omitempty"`
}

const (
	window = 256 // the runner's default
	// targetRounds is how many times as often as the others a case with a target is measured.
	targetRounds = 3
	// farWindow and farRoundTrip make the case of a remote broker that is far away.
	farWindow    = 1000
	farRoundTrip = 50
)

func (c benchCase) String() string {
	s := fmt.Sprintf("QoS %d, %s, %s, %s", c.QoS, c.size(), c.Protocol, security(c.TLS))
	if c.RoundTrip > 0 {
		s += fmt.Sprintf(", %d ms", c.RoundTrip)
	}
	return s
}

func (c benchCase) size() string {
	if c.Payload >= 1<<10 {
		return fmt.Sprintf("%d KiB", c.Payload>>10)
	}
	return fmt.Sprintf("%d B", c.Payload)
}

func security(tls bool) string {
	if tls {
		return "TLS"
	}
	return "plain"
}

// bridges are who takes part in a case.
func (c benchCase) bridges() []string {
	if c.small() && c.QoS < 2 && c.Protocol == "3.1.1" && !c.TLS {
		return []string{theRunner, thePeer, asItComes}
	}
	return []string{theRunner, thePeer}
}

func (c benchCase) small() bool { return c.Payload == 128 }

// latencyRate and cpuRate are messages a second that both bridges keep up with.
func (c benchCase) latencyRate() int {
	if c.Payload >= 64<<10 {
		return 100
	}
	return 1000
}

func (c benchCase) cpuRate() int {
	if c.Payload >= 64<<10 {
		return 300
	}
	return 5000
}

// onTheWay is how many messages are between publishers and collector while as many
// are sent as go. It keeps every window full.
func (c benchCase) onTheWay() int64 {
	switch {
	case c.RoundTrip > 0:
		return 4 * farWindow
	case c.Payload >= 64<<10:
		return 64 // 4 MiB
	}
	return 4 * window
}

// onTheWayPaced is how many may be at a fixed rate. It is not reached where the
// bridge keeps up.
const onTheWayPaced = 4 * window

func (c benchCase) level() byte {
	if c.Protocol == "5" {
		return level5
	}
	return level311
}

// route is where a bridge goes.
type route struct {
	benchCase
	local, remote string // host:port
	tls           *keyPair
}

func (c benchCase) window() int {
	if c.RoundTrip > 0 {
		return farWindow
	}
	return window
}

// mosquittoWindow is the max_inflight_messages of every Mosquitto. With QoS 2 it is
// out of reach: a Mosquitto 2.0.11 that bridges QoS 2 stalls for good when its window
// is full.
func (c benchCase) mosquittoWindow() int {
	if c.QoS == 2 {
		return 10000
	}
	return c.window()
}

// oneWay is the delay of each direction.
func (c benchCase) oneWay() time.Duration {
	return time.Duration(c.RoundTrip) * time.Millisecond / 2
}

// allCases returns every combination, and the far case.
func allCases() []benchCase {
	var cases []benchCase
	for _, tls := range []bool{false, true} {
		for _, protocol := range []string{"3.1.1", "5"} {
			for _, payload := range []int{128, 1 << 10, 64 << 10} {
				for qos := range byte(3) {
					cases = append(cases, benchCase{QoS: qos, Payload: payload, Protocol: protocol, TLS: tls})
				}
			}
		}
	}
	return append(cases, benchCase{QoS: 1, Payload: 128, Protocol: "3.1.1", RoundTrip: farRoundTrip})
}

// quickCases are for tuning.
func quickCases() []benchCase { return allCases()[:3] }
