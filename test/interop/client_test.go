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

// client is a paho client for MQTT 3.1.1 with what it has subscribed to.
type client struct {
	line     *line
	paho     mqtt.Client
	received chan mqtt.Message
}

var clients atomic.Int64

// clientID is a client identifier that nobody else has.
func clientID() string { return fmt.Sprintf("client%d", clients.Add(1)) }

// received messages wait here until a test asks for them.
const waitingRoom = 1000

// client connects with a session of its own that is not kept.
func (l *line) client(to traffic.Source) *client {
	l.Helper()
	c := &client{line: l, received: make(chan mqtt.Message, waitingRoom)}
	c.paho = mqtt.NewClient(mqtt.NewClientOptions().
		AddBroker("tcp://" + to.Name).
		SetClientID(clientID()).
		SetProtocolVersion(4).
		SetAutoReconnect(false).
		SetKeepAlive(0).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(context.Background(), soon)
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
	if !token.WaitTimeout(soon) {
		c.line.Fatalf("no answer within %s", soon)
	}
	must(c.line.T, token.Error())
}

// subscribe subscribes at QoS 2, or as the server limits it.
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
	case <-time.After(soon):
		c.line.Fatalf("no message within %s", soon)
		return nil
	}
}

// retained asks a server what it retains under exactly these topics: the payload
// by topic, without those that it does not retain.
func (l *line) retained(at traffic.Source, topics ...string) map[string]string {
	l.Helper()
	c := l.client(at)
	// A message that it surely retains comes after those before it.
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

// die connects a client that leaves that will, and breaks its connection.
func (l *line) die(at traffic.Source, topic string, qos byte, will []byte) {
	l.Helper()
	c := l.rawConnection(at)
	must(l.T, c.connect(&packets.ConnectPacket{
		ClientIdentifier: clientID(), WillFlag: true, WillTopic: topic, WillMessage: will, WillQos: qos,
	}))
	must(l.T, c.conn.Close())
}
