// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"encoding/binary"
	"net"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	v311 "github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

var (
	closed       = expect(atOnce, v1alpha1.ReasonConnectionClosed)
	unanswered   = expect(silent, v1alpha1.ReasonPingTimeout)
	untaken      = expect(toTake, v1alpha1.ReasonAckTimeout)
	disconnected = expect(atOnce, v1alpha1.ReasonServerUnavailable)
)

// established are the faults of a server in use.
var established = []fault{
	{
		name:   "connection closed",
		inject: func(w *world) { w.link.enable(false) },
		heal:   func(w *world) { w.link.enable(true) },
		toward: closed, from: closed,
	}, {
		name:   "connection reset by the server",
		inject: func(w *world) { w.link.poison(resetToxic, "timeout", downstream) },
		heal:   func(w *world) { w.link.cure(resetToxic) },
		toward: closed, from: closed,
	}, {
		name:     "connection reset by the network",
		isolated: true,
		inject:   func(w *world) { block(w, w.link.port, resetTo) },
		heal:     func(w *world) { unblock(w, w.link.port, resetTo) },
		toward:   closed, from: closed,
	}, {
		name:    "server killed",
		forgets: true,
		inject:  func(w *world) { w.primary.Kill() },
		heal:    func(w *world) { w.primary.Start() },
		toward:  closed, from: closed,
	}, {
		name:   "server stopped",
		inject: func(w *world) { w.primary.Stop() },
		heal:   func(w *world) { w.primary.Start() },
		toward: closed, from: closed,
	}, {
		name:   "frozen",
		inject: func(w *world) { w.primary.Freeze() },
		heal:   func(w *world) { w.primary.Thaw() },
		toward: untaken, from: unanswered,
	}, {
		name:     "black-holed",
		isolated: true,
		inject:   func(w *world) { block(w, w.link.port, dropTo, dropFrom) },
		heal:     func(w *world) { unblock(w, w.link.port, dropTo, dropFrom) },
		toward:   untaken, from: expect(silent, v1alpha1.ReasonPingTimeout, v1alpha1.ReasonAckTimeout),
	}, {
		name:     "black-holed towards the server",
		isolated: true,
		inject:   func(w *world) { block(w, w.link.port, dropTo) },
		heal:     func(w *world) { unblock(w, w.link.port, dropTo) },
		toward:   untaken, from: untaken,
	}, {
		name:     "black-holed from the server",
		isolated: true,
		inject:   func(w *world) { block(w, w.link.port, dropFrom) },
		heal:     func(w *world) { unblock(w, w.link.port, dropFrom) },
		toward:   untaken, from: expect(silent, v1alpha1.ReasonPingTimeout, v1alpha1.ReasonAckTimeout),
	}, {
		name:     "host unreachable, reported by ICMP",
		isolated: true,
		inject:   func(w *world) { block(w, w.link.port, unreachable) },
		heal:     func(w *world) { unblock(w, w.link.port, unreachable) },
		toward:   expect(toTake, v1alpha1.ReasonAckTimeout, v1alpha1.ReasonHostUnreachable),
		from:     expect(toTake, v1alpha1.ReasonHostUnreachable),
	}, {
		name:     "route withdrawn",
		isolated: true,
		apart:    true,
		inject:   func(w *world) { w.route("add") },
		heal:     func(w *world) { w.route("delete") },
		toward:   expect(toTake, v1alpha1.ReasonAckTimeout, v1alpha1.ReasonHostUnreachable),
		from:     expect(silent, v1alpha1.ReasonPingTimeout, v1alpha1.ReasonAckTimeout, v1alpha1.ReasonHostUnreachable),
	}, {
		name:   "answers pings, acknowledges nothing",
		sieved: true,
		inject: func(w *world) { w.sieve.change(without(v5.PUBACK, v5.PUBREC, v5.PUBCOMP)) },
		heal:   func(w *world) { w.sieve.change(nil) },
		toward: untaken,
	}, {
		name:   "leaves one message unacknowledged",
		sieved: true,
		inject: func(w *world) { w.sieve.change(withoutOne()) },
		heal:   func(w *world) { w.sieve.change(nil) },
		toward: untaken,
	}, {
		name:   "takes no data",
		size:   32 << 10, // more bytes in flight than the buffers on the path can hold
		inject: func(w *world) { w.link.poison(bandwidthToxic, "rate", upstream) },
		heal:   func(w *world) { w.link.cure(bandwidthToxic) },
		toward: untaken,
		// The server continues to send until it detects the missing keep alive ([MQTT-3.1.2-24]).
		from: expect(missed, v1alpha1.ReasonConnectionClosed, v1alpha1.ReasonDisconnected),
	}, {
		name:     "DISCONNECT",
		versions: only5,
		sieved:   true,
		inject:   func(w *world) { w.sieve.say(disconnect(v5.DisconnectServerBusy)) },
		toward:   disconnected, from: disconnected,
	}, {
		name:   "session taken over",
		inject: (*world).takeOver, // Mosquitto closes the connection without the DISCONNECT of MQTT 5
		toward: closed, from: closed,
	}, {
		name:   "sends data that is not MQTT",
		sieved: true,
		inject: func(w *world) { w.sieve.say("\x00\x00") },
		toward: expect(atOnce, v1alpha1.ReasonProtocolError), from: expect(atOnce, v1alpha1.ReasonProtocolError),
	},
}

// route adds or deletes a route that makes the primary unreachable.
func (w *world) route(what string) {
	w.Helper()
	must(w, execute("", "ip", "route", what, "unreachable", w.link.host(), "table", "local"))
}

// disconnect returns a DISCONNECT of MQTT 5 with the given reason code.
func disconnect(code byte) string { return string([]byte{v5.DISCONNECT << 4, 1, code}) }

// withoutOne discards all acknowledgements with one packet identifier: the identifier of the next
// acknowledgement.
func withoutOne() func([]byte) []byte {
	var discarded uint16
	return func(packet []byte) []byte {
		switch packet[0] >> 4 {
		case v5.PUBACK, v5.PUBREC:
			if id := binary.BigEndian.Uint16(packet[2:]); discarded == 0 || discarded == id {
				discarded = id
				return nil
			}
		}
		return packet
	}
}

// takeOver connects to the primary with the client identifier of the bridge, resumes its session,
// reads nothing, and disconnects.
func (w *world) takeOver() {
	w.Helper()
	conn, err := net.DialTimeout("tcp", w.primary.Address(), eventTimeout)
	must(w, err)
	must(w, conn.SetDeadline(time.Now().Add(eventTimeout)))
	if w.version == v1alpha1.ProtocolVersion5 {
		expiry := uint32(3600)
		connect := &v5.Connect{ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: clientID, Properties: &v5.Properties{SessionExpiryInterval: &expiry}}
		_, err = connect.WriteTo(conn)
	} else {
		connect := v311.NewControlPacket(v311.Connect).(*v311.ConnectPacket)
		connect.ProtocolName, connect.ProtocolVersion, connect.ClientIdentifier = "MQTT", 4, clientID
		err = connect.Write(conn)
	}
	must(w, err)
	// The CONNACK shows that the takeover has happened.
	_, err = conn.Read(make([]byte, 1))
	must(w, err)
	must(w, conn.Close())
}
