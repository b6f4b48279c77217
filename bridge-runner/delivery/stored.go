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
)

// A message on disk is the time at which it came, in nanoseconds since 1970 and in
// eight bytes, and a PUBLISH of MQTT 5. Its expiry interval is as it came: together with
// the time it says when the message expires.
const timeSize = 8

// appendStored appends what is stored of a message. ok is false where it is too large.
func appendStored(dst []byte, m *outgoing) (out []byte, ok bool) {
	p := packet.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Properties: m.Properties}
	if p.QoS > 0 {
		p.ID = 1 // a PUBLISH has one
	}
	if packet.SizePublish(packet.V5, &p) > packet.MaxSize {
		return dst, false
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.At.UnixNano()))
	return packet.AppendPublish(dst, packet.V5, &p), true
}

// parseStored reads a stored message. One from the future came now: the clock was
// changed, and its expiry must not be put off.
func parseStored(data []byte, now time.Time) (*outgoing, error) {
	if len(data) < timeSize {
		return nil, errors.New("a stored message without a time")
	}
	at := time.Unix(0, int64(binary.BigEndian.Uint64(data))) //nolint:gosec // its bits
	if at.After(now) {
		at = now
	}
	f, n, err := packet.Next(data[timeSize:], packet.V5, 0)
	if err != nil || n != len(data)-timeSize {
		return nil, fmt.Errorf("a stored message that is none: %w", err)
	}
	p, err := packet.DecodePublish(packet.V5, f.Flags, string(f.Body))
	if err != nil {
		return nil, fmt.Errorf("a stored message that is none: %w", err)
	}
	if p.Faults.Undeliverable() {
		return nil, fmt.Errorf("a stored message that is none: %s", p.Faults)
	}
	m := &outgoing{backlog: true, settled: true}
	m.At, m.Owner = at, m
	m.Message = session.Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Properties: p.Properties}
	return m, nil
}
