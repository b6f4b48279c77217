// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"net"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// server is the remote server as the tests use it. It takes the login below, and
// the test's own clients without one.
type server interface {
	URL() string
	Address() string
	Dial(context.Context) (net.Conn, error)
	Source() traffic.Source
	Start()
	Stop()
}

// The login that every server knows.
const (
	username = "bridge"
	password = "secret"
)

// peer is a server of one maker, and where it differs.
type peer struct {
	name     string
	start    func(testing.TB) server
	versions []v1alpha1.ProtocolVersion
	// maxQoS is the highest QoS that it handles; it treats higher ones as this.
	maxQoS byte
	// outlives says that sessions and messages outlive the process.
	outlives bool
	// retainedByWildcard says that a subscription with wildcards brings the
	// messages that are retained.
	retainedByWildcard bool
	// dotsToSlashes says that a dot in a topic comes out as a slash.
	dotsToSlashes bool
	// refuses says that it has a subscription that it refuses: to forbidden/#.
	refuses bool
}

var both = []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311}

var peers = []peer{
	{name: "Mosquitto", start: startMosquitto, versions: both, maxQoS: 2, outlives: true, retainedByWildcard: true},
	{name: "RabbitMQ", start: startRabbitMQ, versions: both[:1], maxQoS: 1, outlives: true, dotsToSlashes: true},
	{name: "Mochi", start: startMochi, versions: both, maxQoS: 2, retainedByWildcard: true, refuses: true},
	{name: "Aedes", start: startAedes, versions: both[:1], maxQoS: 2, retainedByWildcard: true, refuses: true},
}

func startMosquitto(t testing.TB) server {
	t.Helper()
	return mqtttest.StartBroker(t, mqtttest.BrokerOptions{
		Name: "Mosquitto", Persistence: true, Users: map[string]string{username: password},
	})
}
