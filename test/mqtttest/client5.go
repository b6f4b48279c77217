// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

const client5Answers = 10 * time.Second

// Client5 is a client of MQTT 5: it publishes messages with properties, and keeps
// what comes.
type Client5 struct {
	t      testing.TB
	client *paho.Client

	mu  sync.Mutex
	got []*paho.Publish
}

// StartClient5 connects to the broker's own listener for tests, with a session that
// ends with the connection.
func StartClient5(t testing.TB, b *Broker, clientID string) *Client5 {
	t.Helper()
	c := &Client5{t: t}
	ctx, cancel := context.WithTimeout(t.Context(), client5Answers)
	defer cancel()
	conn, err := b.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.client = paho.NewClient(paho.ClientConfig{
		Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.got = append(c.got, r.Packet)
			return true, nil
		}},
	})
	if _, err := c.client.Connect(t.Context(), &paho.Connect{ClientID: clientID, CleanStart: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.client.Disconnect(&paho.Disconnect{}) })
	return c
}

// Subscribe subscribes at QoS 2 and lets retain flags come as they were published.
func (c *Client5) Subscribe(filter string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), client5Answers)
	defer cancel()
	_, err := c.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 2, RetainAsPublished: true}}})
	if err != nil {
		c.t.Fatal(err)
	}
}

// Publish publishes a message and waits for its acknowledgement.
func (c *Client5) Publish(p *paho.Publish) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), client5Answers)
	defer cancel()
	if _, err := c.client.Publish(ctx, p); err != nil {
		c.t.Fatal(err)
	}
}

// Received returns what has come under a topic so far; under all where it is empty.
func (c *Client5) Received(topic string) []*paho.Publish {
	c.mu.Lock()
	defer c.mu.Unlock()
	if topic == "" {
		return slices.Clone(c.got)
	}
	var out []*paho.Publish
	for _, p := range c.got {
		if p.Topic == topic {
			out = append(out, p)
		}
	}
	return out
}

// Wait waits until n messages have come under a topic, and returns them.
func (c *Client5) Wait(topic string, n int, timeout time.Duration) []*paho.Publish {
	c.t.Helper()
	var got []*paho.Publish
	Eventually(c.t, timeout, fmt.Sprintf("%d messages come under %s", n, topic), func() error {
		if got = c.Received(topic); len(got) < n {
			return fmt.Errorf("%d came", len(got))
		}
		return nil
	})
	return got
}
