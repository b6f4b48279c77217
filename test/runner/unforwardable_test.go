// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// Mosquitto closes the connection at a topic with more than 200 slashes. The rule adds one slash.
func TestUnforwardable_MosquittoEndsConnectionAtTopic_OtherMessagesArrive(t *testing.T) {
	t.Parallel()
	deepest := "sensors" + strings.Repeat("/x", 200)
	for _, v := range []v1alpha1.ProtocolVersion{v311, v5} {
		for _, deadLetter := range []string{"", "dead/letters"} {
			t.Run(fmt.Sprintf("version=%s/deadLetter=%v", v, deadLetter != ""), func(t *testing.T) {
				t.Parallel()
				p := newPair(t)
				p.here.Subscribe("#")
				b := speaking(manifest("poison", p.local.URL(), p.remote.URL()), v, v)
				b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "sensors/#", Topic: "plant1/${topic}"}}
				b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "commands/#"}}
				if deadLetter != "" {
					b.Spec.Delivery = &v1alpha1.Delivery{Unforwardable: &v1alpha1.Unforwardable{DeadLetter: &v1alpha1.DeadLetter{Topic: deadLetter}}}
				}
				r := mqtttest.StartRunner(t, b)
				r.WaitActive("primary", eventTimeout)
				const messages = 20
				start := time.Now()
				for i := range messages {
					p.here.Publish(&paho.Publish{Topic: "sensors/a", QoS: 1, Payload: fmt.Append(nil, i)})
					if i == messages/2 {
						p.here.Publish(&paho.Publish{Topic: deepest, QoS: 1, Payload: []byte("poison")})
					}
					p.there.Publish(&paho.Publish{Topic: "commands/a", QoS: 1, Payload: fmt.Append(nil, i)})
				}
				arriveInOrder(p.there, "plant1/sensors/a", messages)
				arriveInOrder(p.here, "commands/a", messages)
				t.Logf("all other messages arrived after %v", time.Since(start))
				mqtttest.Eventually(t, eventTimeout, "the message is dropped", func() error {
					if n, h := dropped(r, "unforwardable"), held(r); n != 1 || h != 0 {
						return fmt.Errorf("%v messages are unforwardable, %v held", n, h)
					}
					return nil
				})
				r.WaitStatus(eventTimeout, "the status names the message", func(s v1alpha1.MQTTBridgeStatus) error {
					u := s.Unforwardable
					if u == nil || u.LocalToRemote == nil || u.RemoteToLocal != nil || u.LocalToRemote.Reason != v1alpha1.ReasonEndsSession ||
						!strings.HasPrefix(u.LocalToRemote.Topic, "plant1/sensors/x/x/") || *u.LocalToRemote.Bytes != 6 {
						return fmt.Errorf("%+v", u)
					}
					return nil
				})
				if deadLetter == "" {
					return
				}
				letter := p.here.Wait(deadLetter, 1, eventTimeout)[0]
				if string(letter.Payload) != "poison" {
					t.Errorf("the dead letter is %q", letter.Payload)
				}
				if v == v5 && (letter.Properties.User.Get("mqttbridge-topic") != "plant1/"+deepest || letter.Properties.User.Get("mqttbridge-reason") == "") {
					t.Errorf("the dead letter has the properties %+v", letter.Properties.User)
				}
			})
		}
	}
}

// arriveInOrder waits until the messages 0 to n-1 have arrived in this order. Repeated messages may
// be between them.
func arriveInOrder(c *mqtttest.Client5, topic string, n int) {
	c.Wait(topic, n, 30*time.Second)
	for next := 0; next < n; {
		next = 0
		for _, m := range c.Received(topic) {
			if string(m.Payload) == fmt.Sprint(next) {
				next++
			}
		}
		if next < n {
			c.Wait(topic, len(c.Received(topic))+1, 30*time.Second)
		}
	}
}
