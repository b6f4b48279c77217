// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// client is a paho client for MQTT 3.1.1, with the messages that it receives.
type client struct {
	line     *line
	paho     mqtt.Client
	received chan mqtt.Message
}

var clients atomic.Int64

// clientID returns a unique client identifier.
func clientID() string { return fmt.Sprintf("client%d", clients.Add(1)) }

// receiveBuffer is the number of received messages that wait until a test reads them.
const receiveBuffer = 1000

// client connects with a separate clean session.
func (l *line) client(to traffic.Source) *client {
	l.Helper()
	c := &client{line: l, received: make(chan mqtt.Message, receiveBuffer)}
	c.paho = mqtt.NewClient(mqtt.NewClientOptions().
		AddBroker("tcp://" + to.Name).
		SetClientID(clientID()).
		SetProtocolVersion(4).
		SetAutoReconnect(false).
		SetKeepAlive(0).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(context.Background(), eventTimeout)
			defer cancel()
			return to.Dial(ctx)
		}).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.received <- m }))
	c.wait(c.paho.Connect())
	l.Cleanup(func() { c.paho.Disconnect(0) })
	return c
}

func (c *client) wait(token mqtt.Token) {
	c.line.Helper()
	if !token.WaitTimeout(eventTimeout) {
		c.line.Fatalf("no answer within %s", eventTimeout)
	}
	must(c.line.T, token.Error())
}

// subscribe subscribes at QoS 2. The server may grant less.
func (c *client) subscribe(filter string) {
	c.line.Helper()
	c.wait(c.paho.Subscribe(filter, 2, nil))
}

// publish publishes and waits for the acknowledgement.
func (c *client) publish(topic string, qos byte, retain bool, payload []byte) {
	c.line.Helper()
	c.wait(c.paho.Publish(topic, qos, retain, payload))
}

// next waits for the next message.
func (c *client) next() mqtt.Message {
	c.line.Helper()
	select {
	case m := <-c.received:
		return m
	case <-time.After(eventTimeout):
		c.line.Fatalf("no message within %s", eventTimeout)
		return nil
	}
}

// retained returns the messages that a server retains for exactly these topics, as payload by
// topic. Topics without a retained message are missing.
func (l *line) retained(at traffic.Source, topics ...string) map[string]string {
	l.Helper()
	c := l.client(at)
	// The mark is retained for certain, and arrives after the messages before it.
	mark := l.topic(clientID())
	c.publish(mark, 1, true, []byte("mark"))
	for _, topic := range append(topics, mark) {
		c.subscribe(topic)
	}
	found := map[string]string{}
	for {
		m := c.next()
		if m.Topic() == mark {
			return found
		}
		if m.Retained() {
			found[m.Topic()] = string(m.Payload())
		}
	}
}

// die connects a client with the given will, and breaks its connection.
func (l *line) die(at traffic.Source, topic string, qos byte, will []byte) {
	l.Helper()
	c := l.rawConnection(at)
	must(l.T, c.connect(&packets.ConnectPacket{
		ClientIdentifier: clientID(), WillFlag: true, WillTopic: topic, WillMessage: will, WillQos: qos,
	}))
	must(l.T, c.conn.Close())
}
