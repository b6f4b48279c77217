// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	v5packets "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// forbids serves a server that closes the connection at a PUBLISH to a topic, like AWS IoT Core at
// a topic that the policy forbids. The channel receives the payloads of the other messages.
func forbids(s *script.Server, topic string) <-chan string {
	payloads := make(chan string, 1000)
	serve := func(c *script.Conn) {
		defer func() { _ = c.Close() }() // this is the reaction to the topic
		for {
			p, err := c.TryNext()
			var answer script.Packet
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded): // no packet arrived within the deadline
				continue
			case err != nil, p.Type == v5packets.PUBLISH && p.Topic == topic:
				return
			case p.Type == v5packets.CONNECT:
				answer = script.Connack(false, nil)
			case p.Type == v5packets.PINGREQ:
				answer = script.Packet{Type: v5packets.PINGRESP}
			case p.Type == v5packets.PUBLISH:
				payloads <- p.Payload
				answer = script.Ack(v5packets.PUBACK, p.ID, 0)
			default:
				continue
			}
			if _, err := c.Write([]byte(c.Encode(answer))); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := s.TryAccept()
			if err != nil {
				return
			}
			serve(c)
		}
	}()
	return payloads
}

func TestNotifications_ServerEndsSessionAtThem_MessagesAreForwarded(t *testing.T) {
	t.Parallel()
	for _, qos := range []int32{0, 1} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
			here := mqtttest.StartClient5(t, local, "here")
			remote := script.Listen(t, scripted())
			b := retry(manifest("forbidden", local.URL(), "mqtt://"+remote.Addr()), 50, 1)
			b.Spec.Notifications = &v1alpha1.Notifications{Topic: "bridge/state", QoS: ptr.To(qos)}
			payloads := forbids(remote, "bridge/state")
			r := mqtttest.StartRunner(t, b)
			mqtttest.Eventually(t, drainTimeout, "the notification is put off", func() error {
				if !strings.Contains(r.Log(), "a server ends the session whenever it receives a notification") {
					return fmt.Errorf("the log:\n%s", r.Log())
				}
				return nil
			})
			r.WaitActive("primary", eventTimeout)
			here.Publish(&paho.Publish{Topic: "up/a", QoS: 1, Payload: []byte("after")})
			if got := <-payloads; got != "after" {
				t.Errorf("got the message %s, want after", got)
			}
		})
	}
}
