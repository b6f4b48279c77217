// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// The second client ends the first client's session, as another runner would. The first one then sends
// a message that the server does not see.
func TestRecorder_ServerHasEndedTheConnection_RecordsLaterPackets(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("protocol version ", version), func(t *testing.T) {
			b := StartBroker(t, BrokerOptions{})
			r := StartRecorder(t, b)
			r.Record()
			conn, err := net.Dial("tcp", r.listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			write(t, conn, connectAs("shared", version))
			buffer := make([]byte, 64)
			if _, err := conn.Read(buffer); err != nil { // CONNACK
				t.Fatal(err)
			}
			StartClient5(t, b, "shared")
			for err == nil { // MQTT 5 has a DISCONNECT before the end
				_, err = conn.Read(buffer)
			}
			write(t, conn, []byte{packets.Publish << 4, 4, 0, 1, 'x', 'y'})
			Eventually(t, time.Second, "the packets are recorded", func() error {
				got := r.Packets()
				if len(got) != 2 || got[0].Type != packets.Connect || got[1].Type != packets.Publish || got[1].ClientID != "shared" || got[1].From != loopback {
					return fmt.Errorf("%+v", got)
				}
				return nil
			})
		})
	}
}

func TestRecorder_TwoClients_ForwardsTheirMessages(t *testing.T) {
	b := StartBroker(t, BrokerOptions{})
	r := StartRecorder(t, b)
	through := *b // its clients connect to the recorder
	through.admin = r.listener.Addr().(*net.TCPAddr).Port
	receiver := StartClient5(t, &through, "receiver")
	receiver.Subscribe("x")
	sender := StartClient5(t, &through, "sender")
	r.Record()
	sender.Publish(&paho.Publish{Topic: "x", QoS: 1, Payload: []byte("y")})
	receiver.Wait("x", 1, time.Second)
	got := r.Packets()
	if !slices.ContainsFunc(got, func(p Recorded) bool { return p.Type == packets.Publish && p.ClientID == "sender" }) {
		t.Errorf("the record is %+v", got) // it may also have pings
	}
}

// connectAs returns a CONNECT packet without properties.
func connectAs(clientID string, version byte) []byte {
	body := []byte{0, 4, 'M', 'Q', 'T', 'T', version, 2, 0, 60}
	if version == 5 {
		body = append(body, 0)
	}
	body = append(append(body, 0, byte(len(clientID))), clientID...)
	return append([]byte{packets.Connect << 4, byte(len(body))}, body...)
}

func write(t *testing.T, conn net.Conn, data []byte) {
	t.Helper()
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
}
