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

// server is the remote server. It accepts the login below, and accepts the clients of the tests
// without a login.
type server interface {
	URL() string
	Address() string
	Dial(context.Context) (net.Conn, error)
	Source() traffic.Source
	Start()
	Stop()
}

// username and password are the login that every server accepts.
const (
	username = "bridge"
	password = "secret"
)

// peer is a server of one vendor, with its deviations.
type peer struct {
	name     string
	start    func(testing.TB) server
	versions []v1alpha1.ProtocolVersion
	// maxQoS is the highest QoS that the server supports. It lowers a higher QoS to this one.
	maxQoS byte
	// outlives is set if sessions and messages survive the process.
	outlives bool
	// bridgeFlag is set if the server supports the bridge flag of MQTT 3.1.1, and keeps the retain
	// flag of live messages to such a bridge.
	bridgeFlag bool
	// retainedByWildcard is set if a subscription with wildcards delivers retained messages.
	retainedByWildcard bool
	// topic returns the topic that subscribers see for a published topic. If it is nil, the topic
	// does not change.
	topic func(string) string
	// wildcard is a character that the server converts to a wildcard if a published topic contains
	// it. If it is empty, the server converts none.
	wildcard string
	// reorders is set if messages that the server resends or queues can arrive in another order,
	// and some of them not at all. This happens with any client.
	reorders bool
	// resendsLate is set if messages that were sent before a connection broke can arrive after
	// newer messages.
	resendsLate bool
	// breaksResumed is set if the server can break the connection of a client that resumes a
	// session, so that messages arrive twice.
	breaksResumed bool
	// breaksCrossing is set if the server can break the connection when it receives an acknowledgement
	// of a message that matches several filters, so that messages arrive twice.
	breaksCrossing bool
	// swallowsQoS2 is set if the server loses a QoS 2 message after it failed to write the PUBREC:
	// it treats the resent message as a duplicate.
	swallowsQoS2 bool
	// oneWay is set if the server keeps the packet identifiers of both directions in one table, so
	// that a client that uses both directions loses messages.
	oneWay bool
	// closesOnVersion is set if the server closes the connection instead of refusing a version that
	// it does not support.
	closesOnVersion bool
	// hangs is set if the server can stop permanently while it sends a client many messages at QoS
	// 1 and 2.
	hangs bool
	// addsExpiry is set if the server adds an expiry to messages without one.
	addsExpiry bool
	// refuses is set if the server refuses subscriptions to forbidden/#.
	refuses bool
}

var (
	only311 = []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311}
	both    = []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5}
)

var peers = []peer{
	{
		name: "Mosquitto", start: startMosquitto, versions: both, maxQoS: 2,
		bridgeFlag: true, outlives: true, retainedByWildcard: true,
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
		bridgeFlag: true, retainedByWildcard: true, refuses: true, reorders: true, breaksCrossing: true,
	},
}

// settings returns the settings to test with a server.
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

// rabbitMQTopic replaces dots with slashes: RabbitMQ converts a topic to an AMQP routing key, with
// dots in place of slashes, and back.
func rabbitMQTopic(topic string) string { return strings.ReplaceAll(topic, ".", "/") }

func startMosquitto(t testing.TB) server {
	t.Helper()
	return mqtttest.StartBroker(t, mqtttest.BrokerOptions{
		Name: "Mosquitto", Persistence: true, Users: map[string]string{username: password},
	})
}
