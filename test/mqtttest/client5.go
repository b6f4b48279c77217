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

const client5Timeout = 10 * time.Second

// Client5 is an MQTT 5 client: it publishes messages with properties, and stores the messages that
// it receives.
type Client5 struct {
	t      testing.TB
	client *paho.Client

	mu  sync.Mutex
	got []*paho.Publish
}

// StartClient5 connects to the broker's listener for tests. The session ends with the connection.
func StartClient5(t testing.TB, b *Broker, clientID string) *Client5 {
	t.Helper()
	c := &Client5{t: t}
	ctx, cancel := context.WithTimeout(t.Context(), client5Timeout)
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

// Subscribe subscribes at QoS 2 with Retain As Published.
func (c *Client5) Subscribe(filter string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), client5Timeout)
	defer cancel()
	_, err := c.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 2, RetainAsPublished: true}}})
	if err != nil {
		c.t.Fatal(err)
	}
}

// Publish publishes a message and waits for its acknowledgement.
func (c *Client5) Publish(p *paho.Publish) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), client5Timeout)
	defer cancel()
	if _, err := c.client.Publish(ctx, p); err != nil {
		c.t.Fatal(err)
	}
}

// Send publishes a message. It does not wait for the acknowledgement.
func (c *Client5) Send(p *paho.Publish) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), client5Timeout)
	defer cancel()
	if _, err := c.client.PublishWithOptions(ctx, p, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend}); err != nil {
		c.t.Fatal(err)
	}
}

// Received returns the messages received so far under a topic. If topic is empty, it returns all
// messages.
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

// Wait waits until n messages have arrived under a topic, and returns them.
func (c *Client5) Wait(topic string, n int, timeout time.Duration) []*paho.Publish {
	c.t.Helper()
	var got []*paho.Publish
	Eventually(c.t, timeout, fmt.Sprintf("%d messages arrive under %s", n, topic), func() error {
		if got = c.Received(topic); len(got) < n {
			return fmt.Errorf("%d arrived", len(got))
		}
		return nil
	})
	return got
}
