// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"fmt"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// sessionTimeout is the longest time for a connection of HasSession.
const sessionTimeout = 10 * time.Second

// HasSession reports whether a server holds a session of a client that is not connected. The
// session remains.
func HasSession(ctx context.Context, dial Dialer, clientID string) (bool, error) {
	present, err := connect(ctx, dial, clientID, false)
	if err != nil || present {
		return present, err
	}
	_, err = connect(ctx, dial, clientID, true) // ends the session that the check has begun
	return false, err
}

// connect connects and disconnects. It returns whether the server had a session of the client.
func connect(ctx context.Context, dial Dialer, clientID string, clean bool) (present bool, err error) {
	conn, err := dial(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(sessionTimeout)); err != nil {
		return false, err
	}
	request, _ := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	request.ProtocolName, request.ProtocolVersion = "MQTT", 4
	request.ClientIdentifier, request.CleanSession, request.Keepalive = clientID, clean, 60
	if err := request.Write(conn); err != nil {
		return false, err
	}
	answer, err := packets.ReadPacket(conn)
	if err != nil {
		return false, err
	}
	ack, ok := answer.(*packets.ConnackPacket)
	if !ok || ack.ReturnCode != packets.Accepted {
		return false, fmt.Errorf("the server answers %s", answer)
	}
	return ack.SessionPresent, packets.NewControlPacket(packets.Disconnect).Write(conn)
}
