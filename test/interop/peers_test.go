// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"net"
	"strings"
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
	// bridgeBit says that it takes a bridge of MQTT 3.1.1 for one, and leaves the
	// retain flag of live messages to it.
	bridgeBit bool
	// retainedByWildcard says that a subscription with wildcards brings the
	// messages that are retained.
	retainedByWildcard bool
	// topic is what a topic becomes that a client publishes to it; without it
	// nothing.
	topic func(string) string
	// wildcard is a character in a topic that a client publishes to, of which it makes
	// a wildcard; without it no topic has one.
	wildcard string
	// reorders says that messages which it sends again, or which it had to queue,
	// come in another order, and that some of those do not come. They do with any
	// client.
	reorders bool
	// resendsLate says that what it had sent when a connection broke can come
	// behind newer messages.
	resendsLate bool
	// breaksResumed says that it can break the connection of a client that resumes
	// a session, so that messages come twice.
	breaksResumed bool
	// swallowsQoS2 says that a QoS 2 message is lost whose PUBREC the server could
	// not write: it takes the message for known when it is sent again.
	swallowsQoS2 bool
	// oneWay says that it keeps the packet identifiers of both directions in one
	// table, so that a client that does both loses messages.
	oneWay bool
	// closesOnVersion says that it closes the connection instead of refusing a
	// version that it does not speak.
	closesOnVersion bool
	// hangs says that it can come to a stop for ever while it sends a client many
	// messages at QoS 1 and 2.
	hangs bool
	// addsExpiry says that it gives an expiry to messages that have none.
	addsExpiry bool
	// refuses says that it has a subscription that it refuses: to forbidden/#.
	refuses bool
}

var (
	only311 = []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311}
	both    = []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5}
)

var peers = []peer{
	{
		name: "Mosquitto", start: startMosquitto, versions: both, maxQoS: 2,
		bridgeBit: true, outlives: true, retainedByWildcard: true,
	},
	{
		name: "RabbitMQ", start: startRabbitMQ, versions: only311, maxQoS: 1,
		outlives: true, topic: rabbitMQTopic, wildcard: "*", resendsLate: true, breaksResumed: true, closesOnVersion: true,
	},
	{
		name: "Mochi", start: startMochi, versions: both, maxQoS: 2,
		retainedByWildcard: true, refuses: true, oneWay: true, hangs: true, swallowsQoS2: true, addsExpiry: true,
	},
	{
		name: "Aedes", start: startAedes, versions: only311, maxQoS: 2,
		bridgeBit: true, retainedByWildcard: true, refuses: true, reorders: true,
	},
}

// settings are what is to be tried with a server.
func (p peer) settings(remote server) []setting {
	ways := [][]string{{"up", "down"}}
	if p.oneWay {
		ways = [][]string{{"up"}, {"down"}}
	}
	var all []setting
	for _, version := range p.versions {
		for _, w := range ways {
			all = append(all, setting{peer: p, remote: remote, version: version, ways: w})
		}
	}
	return all
}

// rabbitMQTopic turns dots to slashes: RabbitMQ makes an AMQP routing key of a
// topic, with dots for slashes, and a topic of that again.
func rabbitMQTopic(topic string) string { return strings.ReplaceAll(topic, ".", "/") }

func startMosquitto(t testing.TB) server {
	t.Helper()
	return mqtttest.StartBroker(t, mqtttest.BrokerOptions{
		Name: "Mosquitto", Persistence: true, Users: map[string]string{username: password},
	})
}
