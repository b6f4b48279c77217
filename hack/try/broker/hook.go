// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// establishTimeout is the longest time for which a client that connects delays the messages of other
// clients.
const establishTimeout = time.Second

// login is the user name and the password of all clients.
type login struct{ username, password string }

// hook checks the login, and changes Mochi in three points, so that a lost message is a fault of the
// bridge and not of the broker:
//
//   - Mochi acknowledges a message before it queues it for the subscribers. With the hook, it does
//     this afterwards.
//   - A message that arrives while Mochi copies the session of a client that connects again is lost.
//     With the hook, such a message waits.
//   - The flow control of Mochi can stop permanently (docs/interoperability.md, note 4). The hook
//     turns it off for MQTT 3.1.1, in which clients cannot request it.
//
// mu may be held while the locks of Mochi are acquired, and no hook runs with a lock of Mochi.
type hook struct {
	mqtt.HookBase
	login    login
	received io.Writer
	// publish passes a message on to the subscribers.
	publish func(topic string, payload []byte, retain bool, qos byte) error

	mu sync.Mutex // held while a message is queued, or a session established

	establishingMu sync.Mutex
	establishing   map[string]func() // unlocks mu, by client identifier
}

func (*hook) ID() string { return "try" }

func (*hook) Provides(event byte) bool {
	return slices.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnSessionEstablish, mqtt.OnPacketEncode}, event)
}

func (h *hook) OnConnectAuthenticate(_ *mqtt.Client, connect packets.Packet) bool {
	c := connect.Connect
	return h.login.username == "" || string(c.Username) == h.login.username && string(c.Password) == h.login.password
}

func (*hook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// OnPublish records a message and passes it on to the subscribers. Mochi acknowledges it when
// OnPublish has returned.
func (h *hook) OnPublish(client *mqtt.Client, message packets.Packet) (packets.Packet, error) {
	if client.Net.Inline { // the call of publish below
		return message, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !bytes.ContainsRune(message.Payload, '\n') {
		line := append(slices.Clone(message.Payload), '\n')
		if _, err := h.received.Write(line); err != nil {
			return message, packets.ErrRejectPacket // without an acknowledgement
		}
	}
	if err := h.publish(message.TopicName, message.Payload, message.FixedHeader.Retain, message.FixedHeader.Qos); err != nil {
		return message, packets.ErrRejectPacket
	}
	return message, packets.CodeSuccessIgnore // acknowledge it, and do not pass it on again
}

// OnSessionEstablish is called before Mochi copies the session of an earlier connection.
func (h *hook) OnSessionEstablish(client *mqtt.Client, _ packets.Packet) {
	if client.Properties.ProtocolVersion < 5 {
		client.Properties.Props.ReceiveMaximum = 0
		client.State.Inflight.ResetSendQuota(0) // 0 means that there is no limit
	}

	h.mu.Lock()
	unlock := sync.OnceFunc(h.mu.Unlock)
	time.AfterFunc(establishTimeout, unlock) // Mochi sends no CONNACK if the connection has ended
	h.establishingMu.Lock()
	defer h.establishingMu.Unlock()
	h.establishing[client.ID] = unlock
}

// OnPacketEncode is called before Mochi writes a packet. CONNACK is the first one, and the session is
// complete by then.
func (h *hook) OnPacketEncode(client *mqtt.Client, packet packets.Packet) packets.Packet {
	if packet.FixedHeader.Type == packets.Connack {
		h.establishingMu.Lock()
		unlock := h.establishing[client.ID]
		delete(h.establishing, client.ID)
		h.establishingMu.Unlock()
		if unlock != nil {
			unlock()
		}
	}
	return packet
}
