// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func newPKI(t *testing.T) *mqtttest.PKI {
	t.Helper()
	return mqtttest.NewPKI(t)
}

// readPacket reads a packet, which must be of type T.
func readPacket[T packets.ControlPacket](t *testing.T, c net.Conn) T {
	t.Helper()
	p, err := packets.ReadPacket(c)
	if err != nil {
		t.Fatal(err)
	}
	typed, ok := p.(T)
	if !ok {
		t.Fatalf("the broker sent %v", p)
	}
	return typed
}

// connectMQTT sends CONNECT, and checks that the broker accepts it in CONNACK.
func connectMQTT(t *testing.T, c net.Conn) {
	t.Helper()
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion, connect.CleanSession, connect.ClientIdentifier, connect.Keepalive = "MQTT", 4, true, "transport", 60
	if err := connect.Write(c); err != nil {
		t.Fatal(err)
	}
	if ack := readPacket[*packets.ConnackPacket](t, c); ack.ReturnCode != packets.Accepted {
		t.Fatal(ack)
	}
}

// wantMQTTEcho checks that a broker echoes a message over the connection: CONNECT, SUBSCRIBE,
// PUBLISH.
func wantMQTTEcho(t *testing.T, c net.Conn, size int) {
	t.Helper()
	send := func(p packets.ControlPacket) {
		t.Helper()
		if err := p.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	connectMQTT(t, c)
	subscribe := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	subscribe.MessageID, subscribe.Topics, subscribe.Qoss = 1, []string{"t"}, []byte{0}
	send(subscribe)
	readPacket[*packets.SubackPacket](t, c)
	publish := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	publish.TopicName, publish.Payload = "t", bytes.Repeat([]byte{0xab, 0xcd}, size/2)
	send(publish)
	if got := readPacket[*packets.PublishPacket](t, c); !bytes.Equal(got.Payload, publish.Payload) {
		t.Errorf("the broker echoed %d bytes", len(got.Payload))
	}
	send(packets.NewControlPacket(packets.Disconnect))
}

func TestDial_BrokerOverEveryTransport_EchoesMQTT(t *testing.T) {
	pki := newPKI(t)
	ways := gateways(t, mqtttest.GatewayOptions{User: "plant", Password: "secret"})
	ways["direct"] = nil
	for _, o := range []mqtttest.BrokerOptions{
		{Name: "plain"},
		{Name: "TLS", TLS: pki.Server()},
		{Name: "WebSocket", WebSocket: true},
		{Name: "secure-WebSocket", WebSocket: true, TLS: pki.Server()},
	} {
		broker := mqtttest.StartBroker(t, o)
		for way, gateway := range ways {
			t.Run(fmt.Sprintf("%s %s", o.Name, way), func(t *testing.T) {
				cfg := Config{HostPort: broker.Address(), WebSocket: o.WebSocket, Path: "/mqtt"}
				if o.TLS != nil {
					cfg.TLS = clientTLS(pki)
				}
				if gateway != nil {
					cfg.Proxy = gateway.URLFor("plant", "secret")
				}
				large := 1 << 20
				if o.WebSocket {
					large = 10_000 // this broker sends large packets over WebSocket at about 30 kB/s only, to any client
				}
				for _, size := range []int{10, large} {
					c := dial(t, cfg)
					wantMQTTEcho(t, c, size)
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestUpgrade_PlainBrokerListener_Fails(t *testing.T) {
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{})
	wantDialError(t, testTimeout, Config{HostPort: broker.Address(), WebSocket: true}, v1alpha1.ReasonWebSocketRefused,
		"the server closed the connection instead of answering the WebSocket upgrade; check the URL's scheme, port and path, and the server's log")
}
