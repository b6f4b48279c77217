// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// HasSession reports whether the broker holds a session of a client that is not connected. The
// session remains.
func (b *Broker) HasSession(clientID string) bool {
	b.t.Helper()
	present := b.connect(clientID, false)
	if !present {
		b.connect(clientID, true) // ends the session that the check has begun
	}
	return present
}

// connect connects and disconnects. It returns whether the broker had a session of the client.
func (b *Broker) connect(clientID string, clean bool) (present bool) {
	b.t.Helper()
	conn, err := b.Dial(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(brokerStartTimeout)); err != nil {
		b.t.Fatal(err)
	}
	request, _ := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	request.ProtocolName, request.ProtocolVersion = "MQTT", 4
	request.ClientIdentifier, request.CleanSession, request.Keepalive = clientID, clean, 60
	if err := request.Write(conn); err != nil {
		b.t.Fatal(err)
	}
	answer, err := packets.ReadPacket(conn)
	if err != nil {
		b.t.Fatal(err)
	}
	ack, ok := answer.(*packets.ConnackPacket)
	if !ok || ack.ReturnCode != packets.Accepted {
		b.t.Fatalf("%s answers %s", b.Name, answer)
	}
	if err := packets.NewControlPacket(packets.Disconnect).Write(conn); err != nil {
		b.t.Fatal(err)
	}
	return ack.SessionPresent
}
