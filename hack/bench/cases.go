// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// Names of the bridges that the bench measures. They appear in reports.
const (
	runnerBridge = "runner"
	peerBridge   = "mosquitto"
	// peerDefaults is Mosquitto with its default settings.
	peerDefaults = "mosquitto, defaults"
)

// benchCase is the work of a bridge in one case.
type benchCase struct {
	QoS       byte   `json:"qos"`
	Payload   int    `json:"payloadBytes"`
	Protocol  string `json:"protocol"`
	TLS       bool   `json:"tls"`
	RoundTrip int    `json:"roundTripMilliseconds,omitempty"`
}

const (
	window = 256 // the runner's default
	// targetRounds is the factor by which a case with a target is measured more often than other
	// cases.
	targetRounds = 3
	// farWindow and farRoundTrip (milliseconds) are the settings of the case with a distant remote
	// broker.
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

// bridges returns the bridges that take part in the case.
func (c benchCase) bridges() []string {
	if c.small() && c.QoS < 2 && c.Protocol == "3.1.1" && !c.TLS {
		return []string{runnerBridge, peerBridge, peerDefaults}
	}
	return []string{runnerBridge, peerBridge}
}

func (c benchCase) small() bool { return c.Payload == 128 }

// latencyRate and cpuRate return rates, in messages a second, that both bridges can sustain.
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

// inTransit returns the largest number of messages between publishers and collector in the
// saturated phase. It keeps every window full.
func (c benchCase) inTransit() int64 {
	switch {
	case c.RoundTrip > 0:
		return 4 * farWindow
	case c.Payload >= 64<<10:
		return 64 // 4 MiB
	}
	return 4 * window
}

// inTransitPaced is the largest number of messages in transit at a fixed rate. A bridge that
// sustains the rate never reaches it.
const inTransitPaced = 4 * window

func (c benchCase) level() byte {
	if c.Protocol == "5" {
		return level5
	}
	return level311
}

// route is the path of messages through a bridge.
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

// mosquittoWindow returns max_inflight_messages for every Mosquitto. With QoS 2 it is larger than
// any number of messages in flight: a Mosquitto 2.0.11 that bridges QoS 2 stalls permanently when
// its window is full.
func (c benchCase) mosquittoWindow() int {
	if c.QoS == 2 {
		return 10000
	}
	return c.window()
}

// oneWay returns the delay of each direction.
func (c benchCase) oneWay() time.Duration {
	return time.Duration(c.RoundTrip) * time.Millisecond / 2
}

// allCases returns every combination, and the case with a distant remote broker.
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

// quickCases returns a subset for tuning.
func quickCases() []benchCase { return allCases()[:3] }
