// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// settings are the settings of a side that bound the detection of a loss, in seconds.
type settings struct{ connectTimeout, keepAlive, pingTimeout, ackTimeout int32 }

var (
	short    = settings{connectTimeout: 3, keepAlive: 2, pingTimeout: 2, ackTimeout: 3}
	defaults = settings{v1alpha1.DefaultConnectTimeoutSeconds, v1alpha1.DefaultKeepAliveSeconds, v1alpha1.DefaultPingTimeoutSeconds, v1alpha1.DefaultAckTimeoutSeconds}
)

// bound is the longest time until a fault is detected.
type bound struct {
	formula string // as in docs/failure-modes.md
	seconds func(settings) int32
}

var (
	atOnce   = bound{"at once", func(settings) int32 { return 0 }}
	toAnswer = bound{"`connectTimeoutSeconds`", func(s settings) int32 { return s.connectTimeout }}
	toTake   = bound{"`ackTimeoutSeconds`", func(s settings) int32 { return s.ackTimeout }}
	missed   = bound{"1.5 times `keepAliveSeconds` + 2 s", func(s settings) int32 { return s.keepAlive*3/2 + 2 }}
	silent   = bound{"`keepAliveSeconds` + `pingTimeoutSeconds`", func(s settings) int32 { return s.keepAlive + s.pingTimeout }}
)

func (b bound) of(s settings) time.Duration { return time.Duration(b.seconds(s)) * time.Second }

// direction is the direction of the messages, relative to the side that loses its server.
type direction bool

const (
	toward direction = true  // messages to that side
	from   direction = false // messages from that side
)

// expected is the behaviour that docs/failure-modes.md describes for a fault.
type expected struct {
	bound
	reasons []string // one of them
}

func expect(b bound, reasons ...string) *expected { return &expected{b, reasons} }

// fault is a way to lose a server: the active server, by inject, or the server that the bridge
// tries next, which connecting creates.
type fault struct {
	// name is the name of its row in docs/failure-modes.md.
	name string
	// isolated is set if the fault needs a separate network namespace.
	isolated bool
	// versions are the MQTT versions with this fault. Default both.
	versions []v1alpha1.ProtocolVersion
	// size is the size of the messages in bytes.
	size int
	// forgets is set if the server loses messages that it has acknowledged and not stored, so that
	// the messages cannot be counted.
	forgets bool
	// apart gives the primary a separate address.
	apart bool
	// sieved puts the primary behind a sieve.
	sieved bool

	inject, heal func(*world)
	connecting   func(*world) v1alpha1.Server
	// next is the fault of the server that the bridge tries afterwards, if any.
	next *fault

	// toward and from are the expectations by direction. nil means that the fault does not apply.
	toward, from *expected
}

func (f *fault) expected(d direction) *expected {
	if d == toward {
		return f.toward
	}
	return f.from
}

func (f *fault) of(version v1alpha1.ProtocolVersion) bool {
	if f.versions == nil {
		return true
	}
	for _, v := range f.versions {
		if v == version {
			return true
		}
	}
	return false
}

var (
	both  = []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5}
	only5 = both[1:]
)
