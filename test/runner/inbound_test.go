// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	v5packets "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// RabbitMQ and EMQX accept topics with wildcards, and other servers send other invalid messages. An
// invalid message must not prevent the forwarding of other messages.
func TestRunner_SourceViolatesProtocol_BothDirectionsContinue(t *testing.T) {
	t.Parallel()
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	there := mqtttest.StartClient5(t, remote, "there")
	there.Subscribe("up/#")
	local := script.Listen(t, scripted())
	b := downToo(manifest("invalid", "mqtt://"+local.Addr(), remote.URL()))
	b.Spec.Local.KeepAliveSeconds = ptr.To[int32](600) // no pings between the expected packets
	runner := mqtttest.StartRunner(t, b)

	c := local.Accept()
	c.Next() // CONNECT
	c.Send(script.Connack(false, nil))
	subscribe := c.Next()
	c.Send(script.Packet{Type: v5packets.SUBACK, ID: subscribe.ID, Codes: []byte{2}})
	runner.WaitActive("primary", eventTimeout)

	var want []string
	id := uint16(0)
	for i, topic := range []string{"up/#", "up/+/x", "up/\xff", "up/\x00", ""} {
		for qos, answer := range []string{"", "PUBACK %d", "PUBREC %d"} {
			if qos > 0 {
				id++
				want = append(want, fmt.Sprintf(answer, id))
			}
			c.Send(script.Publish(uint16(min(qos, 1))*id, byte(qos), topic, fmt.Sprint(i)))
		}
	}
	c.SendBytes("\x38\x0a\x00\x04up/d\x00\x00\x00\x00") // DUP at QoS 0
	c.SendBytes("\x20\x02\x00\x00\xb0\x02\x00\x09\xd0\x01x\x90\x05\x00\x09\x00\x00\x00\x42\x02\x00\x09")
	invalid := 3 * 5
	if version == v5 {
		for _, property := range []string{"\x01\x02", "\x03\x00\x01\xff", "\x08\x00\x01#", "\x26\x00\x01\x00\x00\x00", "\x0b\x00", "\x7f\x00", "\x02\x00"} {
			body := "\x00\x04up/p" + string([]byte{byte(len(property))}) + property + "x"
			c.SendBytes(string([]byte{0x30, byte(len(body))}) + body)
		}
	}
	id++
	c.Send(script.Publish(id, 1, "up/valid", "x"))
	want = append(want, fmt.Sprintf("PUBACK %d", id))
	c.Want(want...)
	there.Wait("up/valid", 1, eventTimeout)
	there.Wait("up/d", 1, eventTimeout)
	if version == v5 {
		for _, m := range there.Wait("up/p", 7, eventTimeout) {
			if p := m.Properties; p.PayloadFormat != nil || p.ContentType != "" || p.ResponseTopic != "" || len(p.User) > 0 || string(m.Payload) != "x" {
				t.Errorf("an invalid property was forwarded: %+v", p)
			}
		}
	}

	there.Publish(&paho.Publish{Topic: "down/a", QoS: 1, Payload: []byte("x")})
	c.Want("PUBLISH 1 qos1 down/a=x")
	c.Send(script.Ack(v5packets.PUBACK, 1, 0))
	metrics := runner.Metrics()
	if n := metrics.Sum("mqttbridge_messages_dropped_total", "cause=invalid_topic"); n != float64(invalid) {
		t.Errorf("%v messages are counted as invalid_topic, want %d", n, invalid)
	}
	if n := metrics.Sum("mqttbridge_protocol_faults_total", "side=local", "kind=topic"); n != float64(invalid) {
		t.Errorf("%v faults of topics are counted, want %d", n, invalid)
	}
	if log := runner.Log(); !strings.Contains(log, `up/#`) || !strings.Contains(log, "its topic name contains a wildcard") || strings.Contains(log, "connection lost") {
		t.Errorf("the log:\n%s", log)
	}
}

// scripted returns the MQTT version in the form that package script uses.
func scripted() byte {
	if version == v5 {
		return 5
	}
	return 4
}

// In MQTT 5, Mosquitto does not send messages above the size that the bridge announces. In 3.1.1 it
// sends them, and the bridge drops them. The test measures memory, and therefore does not run in
// parallel.
func TestRunner_MessageOverMaximumPacketSize_IsDroppedWithoutUsingMemory(t *testing.T) {
	const mib = 1 << 20
	p := newPair(t)
	runner := mqtttest.StartRunner(t, manifest("large", p.local.URL(), p.remote.URL()))
	runner.WaitActive("primary", eventTimeout)
	p.here.Publish(&paho.Publish{Topic: "up/before", QoS: 1, Payload: []byte("x")})
	p.there.Wait("up/before", 1, eventTimeout)
	before := runner.ResidentBytes()

	for qos := range byte(3) {
		p.here.Publish(&paho.Publish{Topic: "up/large", QoS: qos, Payload: make([]byte, 36*mib)})
		p.here.Publish(&paho.Publish{Topic: "up/after", QoS: 1, Payload: []byte("x")})
		p.there.Wait("up/after", int(qos)+1, drainTimeout)
	}
	if n := len(p.there.Received("up/large")); n > 0 {
		t.Errorf("%d messages of 36 MiB arrived", n)
	}
	if grown := runner.ResidentBytes() - before; grown > 20*mib {
		t.Errorf("the runner uses %d bytes more after messages of 36 MiB", grown)
	}
	if version == v5 {
		return
	}
	mqtttest.Eventually(t, eventTimeout, "the messages are counted", func() error {
		if n := runner.Metrics().Sum("mqttbridge_messages_dropped_total", "cause=too_large"); n != 3 {
			return fmt.Errorf("%v", n)
		}
		return nil
	})
	if log := runner.Log(); !strings.Contains(log, "larger than maximumPacketSize") || !strings.Contains(log, "up/large") || !strings.Contains(log, "size=377487") {
		t.Errorf("the log:\n%s", log)
	}
}

// The documentation states this factor. It covers the copies that are read, written and kept until
// the other server acknowledges them, and garbage that is not yet collected.
func TestRunner_MessageOfMaximumPacketSize_UsesAtMostEightTimesItsSize(t *testing.T) {
	const mib = 1 << 20
	p := newPair(t)
	runner := mqtttest.StartRunner(t, manifest("maximum", p.local.URL(), p.remote.URL()))
	runner.WaitActive("primary", eventTimeout)
	before, peak := runner.ResidentBytes(), int64(0)
	const topic = "up/largest"
	largest := make([]byte, 32*mib-100) // Mosquitto counts some bytes in addition to the packet
	for n := range 3 {
		p.here.Publish(&paho.Publish{Topic: topic, QoS: 1, Payload: largest})
		mqtttest.Eventually(t, drainTimeout, "the message arrives", func() error {
			peak = max(peak, runner.ResidentBytes())
			if len(p.there.Received(topic)) <= n {
				return errors.New("the message has not arrived")
			}
			return nil
		})
	}
	t.Logf("%d MiB before, peak %d MiB", before/mib, peak/mib)
	if grown := peak - before; grown > 8*32*mib {
		t.Errorf("the runner used %d bytes more while it forwarded messages of 32 MiB", grown)
	}
}

func TestRunner_TenMegabytesOfUserProperties_UseNoMoreThanALargePayload(t *testing.T) {
	const mib = 1 << 20
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	there := mqtttest.StartClient5(t, remote, "there")
	there.Subscribe("up/#")
	local := script.Listen(t, 5) // MQTT 3.1.1 has no properties
	runner := mqtttest.StartRunner(t, speaking(manifest("properties", "mqtt://"+local.Addr(), remote.URL()), v5, v311))
	c := local.Accept()
	c.Next() // CONNECT
	c.Send(script.Connack(false, nil))
	subscribe := c.Next()
	c.Send(script.Packet{Type: v5packets.SUBACK, ID: subscribe.ID, Codes: []byte{2}})
	runner.WaitActive("primary", eventTimeout)
	before := runner.ResidentBytes()
	body := "\x00\x04up/p\x80\xad\xe2\x04" + strings.Repeat("\x26\x00\x00\x00\x00", 2_000_000) + "x" // 10,000,000 bytes
	for n := range 3 {
		c.SendBytes("\x30\x8b\xad\xe2\x04" + body)
		there.Wait("up/p", n+1, eventTimeout)
	}
	if grown := runner.ResidentBytes() - before; grown > 60*mib {
		t.Errorf("the runner uses %d bytes more", grown)
	}
}
