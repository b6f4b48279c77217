// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// settings are those of a side that bound how soon a loss is noticed, in seconds.
type settings struct{ connectTimeout, keepAlive, pingTimeout, ackTimeout int32 }

var (
	short    = settings{connectTimeout: 3, keepAlive: 2, pingTimeout: 2, ackTimeout: 3}
	defaults = settings{v1alpha1.DefaultConnectTimeoutSeconds, v1alpha1.DefaultKeepAliveSeconds, v1alpha1.DefaultPingTimeoutSeconds, v1alpha1.DefaultAckTimeoutSeconds}
)

// bound is how long it takes at most until a fault is noticed.
type bound struct {
	formula string // as docs/failure-modes.md has it
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

// direction of the messages, seen from the side that loses its server.
type direction bool

const (
	toward direction = true  // they go to it
	from   direction = false // they come from it
)

// expected is what docs/failure-modes.md says of a fault.
type expected struct {
	bound
	reasons []string // one of them
}

func expect(b bound, reasons ...string) *expected { return &expected{b, reasons} }

// fault is a way to lose a server: the one in use, by inject, or the one that is tried
// next, which connecting makes.
type fault struct {
	// name is that of its row in docs/failure-modes.md.
	name string
	// isolated faults need a network of their own.
	isolated bool
	// versions of MQTT that it is for. Default both.
	versions []v1alpha1.ProtocolVersion
	// size of the messages in bytes.
	size int
	// forgets says that the server loses what it has acknowledged and not stored, so
	// that it cannot be counted.
	forgets bool
	// apart has the primary known by an address of its own.
	apart bool
	// sieved has the primary behind a sieve.
	sieved bool

	inject, heal func(*world)
	connecting   func(*world) v1alpha1.Server
	// next is the fault of the server that is tried after that, if any.
	next *fault

	// toward and from are what to expect, by direction; nil where the fault can be none.
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
