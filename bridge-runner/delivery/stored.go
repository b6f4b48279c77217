// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// A record holds the time at which the message was received, in nanoseconds since 1970
// and in eight bytes, and an MQTT 5 PUBLISH packet. The packet has the expiry interval as
// it was received. Together with the time, it says when the message expires.
const timeSize = 8

// appendStored appends the record of a message. ok is false if the message is too large.
func appendStored(dst []byte, m *outgoing) (out []byte, ok bool) {
	p := packet.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Properties: m.Properties}
	if p.QoS > 0 {
		p.ID = 1 // a PUBLISH with QoS 1 or 2 has an identifier
	}
	if packet.SizePublish(packet.V5, &p) > packet.MaxSize {
		return dst, false
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.ReceivedAt.UnixNano()))
	return packet.AppendPublish(dst, packet.V5, &p), true
}

// parseStored reads the record of a message. A time in the future is replaced by now: the
// clock was changed, and that must not postpone the expiry.
func parseStored(data []byte, now time.Time) (*outgoing, error) {
	if len(data) < timeSize {
		return nil, errors.New("the stored message has no time")
	}
	at := time.Unix(0, int64(binary.BigEndian.Uint64(data))) //nolint:gosec // the same bits
	if at.After(now) {
		at = now
	}
	f, n, err := packet.Next(data[timeSize:], packet.V5, 0)
	if err != nil {
		return nil, fmt.Errorf("the stored message is invalid: %w", err)
	}
	if n != len(data)-timeSize {
		return nil, fmt.Errorf("the stored message is invalid: a packet of %s in a record of %s", count.Of(n, "byte"), count.Of(len(data)-timeSize, "byte"))
	}
	p, err := packet.DecodePublish(packet.V5, f.Flags, string(f.Body))
	if err != nil {
		return nil, fmt.Errorf("the stored message is invalid: %w", err)
	}
	if p.Faults.Undeliverable() {
		return nil, fmt.Errorf("the stored message is invalid: %s", p.Faults)
	}
	m := &outgoing{custody: onDisk, fromBacklog: true}
	m.ReceivedAt, m.Owner = at, m
	m.Message = session.Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Properties: p.Properties}
	return m, nil
}
