// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"math"
)

// AppendConnect appends a CONNECT (section 3.1) to dst.
func AppendConnect(dst []byte, c *Connect) []byte {
	const (
		cleanStart = 1 << 1
		will       = 1 << 2
		willQoS    = 3
		willRetain = 1 << 5
		password   = 1 << 6
		username   = 1 << 7
		bridge     = 1 << 7 // in the protocol level, not in the flags
	)
	var (
		flags       byte
		level       = byte(c.Version)
		length      = 2 + len("MQTT") + 1 + 1 + 2 + textSize(c.ClientID)
		properties  = connectProperties(c)
		hasUsername = c.Username != ""
		hasPassword = c.Password != "" && (hasUsername || c.Version == V5) // [MQTT-3.1.2-22]
	)
	if c.Version == V5 {
		length += varintSize(properties) + properties
	} else if c.BridgeFlag {
		level |= bridge
	}
	if c.CleanStart {
		flags |= cleanStart
	}
	if c.Will != nil {
		flags |= will | c.Will.QoS<<willQoS
		if c.Will.Retain {
			flags |= willRetain
		}
		length += textSize(c.Will.Topic) + textSize(c.Will.Payload)
		if c.Version == V5 {
			length += 1 + numberSize(c.Will.Delay, 4)
		}
	}
	if hasUsername {
		flags |= username
		length += textSize(c.Username)
	}
	if hasPassword {
		flags |= password
		length += textSize(c.Password)
	}

	dst = appendHeader(dst, CONNECT, 0, length)
	dst = appendText(dst, "MQTT")
	dst = append(dst, level, flags)
	dst = binary.BigEndian.AppendUint16(dst, c.KeepAlive)
	if c.Version == V5 {
		dst = appendVarint(dst, properties)
		dst = appendUint32(dst, sessionExpiry, c.SessionExpiry)
		dst = appendUint16(dst, receiveMaximum, c.ReceiveMaximum)
		dst = appendUint32(dst, maximumPacketSize, c.MaximumPacketSize)
		dst = appendUint16(dst, topicAliasMaximum, c.TopicAliasMaximum)
	}
	dst = appendText(dst, c.ClientID)
	if c.Will != nil {
		if c.Version == V5 {
			dst = appendVarint(dst, numberSize(c.Will.Delay, 4))
			dst = appendUint32(dst, willDelay, c.Will.Delay)
		}
		dst = appendText(dst, c.Will.Topic)
		dst = appendText(dst, c.Will.Payload)
	}
	if hasUsername {
		dst = appendText(dst, c.Username)
	}
	if hasPassword {
		dst = appendText(dst, c.Password)
	}
	return dst
}

func connectProperties(c *Connect) int {
	return numberSize(c.SessionExpiry, 4) + numberSize(c.ReceiveMaximum, 2) +
		numberSize(c.MaximumPacketSize, 4) + numberSize(c.TopicAliasMaximum, 2)
}

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7) to dst. It
// leaves out the parts that may be absent (section 3.4.2.1 of MQTT 5).
func AppendAck(dst []byte, v Version, a Ack) []byte {
	properties := propertySize(a.Reason)
	length := 2
	if v == V5 {
		switch {
		case properties > 0:
			length += 1 + varintSize(properties) + properties
		case a.Code != 0:
			length++
		}
	}
	var flags byte
	if a.Type == PUBREL {
		flags = 2 // [MQTT-3.6.1-1]
	}
	dst = appendHeader(dst, a.Type, flags, length)
	dst = binary.BigEndian.AppendUint16(dst, a.ID)
	if length > 2 {
		dst = append(dst, a.Code)
	}
	if length > 3 {
		dst = appendVarint(dst, properties)
		dst = appendProperty(dst, reasonString, a.Reason)
	}
	return dst
}

// AppendSubscribe appends a SUBSCRIBE (section 3.8) to dst. s must have at least one
// subscription, and a Subscription Identifier of at most 268,435,455.
func AppendSubscribe(dst []byte, v Version, s *Subscribe) []byte {
	length, properties := 2, 0
	if v == V5 {
		if s.SubscriptionID > 0 {
			properties = 1 + varintSize(int(s.SubscriptionID))
		}
		length += varintSize(properties) + properties
	}
	for i := range s.Subscriptions {
		length += textSize(s.Subscriptions[i].Filter) + 1
	}
	dst = appendHeader(dst, SUBSCRIBE, 2, length) // [MQTT-3.8.1-1]
	dst = binary.BigEndian.AppendUint16(dst, s.ID)
	if v == V5 {
		dst = appendVarint(dst, properties)
		if s.SubscriptionID > 0 {
			dst = appendVarint(append(dst, subscriptionID), int(s.SubscriptionID))
		}
	}
	for i := range s.Subscriptions {
		dst = appendText(dst, s.Subscriptions[i].Filter)
		dst = append(dst, s.Subscriptions[i].options(v))
	}
	return dst
}

// options returns the Subscription Options (section 3.8.3.1 of MQTT 5).
func (s *Subscription) options(v Version) byte {
	const (
		noLocal           = 1 << 2
		retainAsPublished = 1 << 3
		retainHandling    = 4
	)
	options := s.QoS
	if v != V5 {
		return options
	}
	if s.NoLocal {
		options |= noLocal
	}
	if s.RetainAsPublished {
		options |= retainAsPublished
	}
	return options | s.RetainHandling<<retainHandling
}

// AppendUnsubscribe appends an UNSUBSCRIBE (section 3.10) to dst. There must be at least
// one filter.
func AppendUnsubscribe(dst []byte, v Version, id uint16, filters []string) []byte {
	length := 2
	if v == V5 {
		length++
	}
	for _, f := range filters {
		length += textSize(f)
	}
	dst = appendHeader(dst, UNSUBSCRIBE, 2, length) // [MQTT-3.10.1-1]
	dst = binary.BigEndian.AppendUint16(dst, id)
	if v == V5 {
		dst = append(dst, 0) // [MQTT-2.2.2-1]
	}
	for _, f := range filters {
		dst = appendText(dst, f)
	}
	return dst
}

// AppendPing appends a PINGREQ (section 3.12) to dst.
func AppendPing(dst []byte) []byte {
	return appendHeader(dst, PINGREQ, 0, 0)
}

// AppendDisconnect appends a DISCONNECT (section 3.14) to dst. It leaves out the parts
// that may be absent (section 3.14.2.1 of MQTT 5), and the Server Reference, which only
// servers send.
func AppendDisconnect(dst []byte, v Version, d Disconnect) []byte {
	properties := propertySize(d.Reason)
	if d.HasSessionExpiry {
		properties += 1 + 4
	}
	length := 0
	if v == V5 {
		switch {
		case properties > 0:
			length = 1 + varintSize(properties) + properties
		case d.Code != 0:
			length = 1
		}
	}
	dst = appendHeader(dst, DISCONNECT, 0, length)
	if length > 0 {
		dst = append(dst, d.Code)
	}
	if length > 1 {
		dst = appendVarint(dst, properties)
		if d.HasSessionExpiry {
			dst = binary.BigEndian.AppendUint32(append(dst, sessionExpiry), d.SessionExpiry)
		}
		dst = appendProperty(dst, reasonString, d.Reason)
	}
	return dst
}

func appendHeader(dst []byte, t Type, flags byte, length int) []byte {
	return appendVarint(append(dst, byte(t)<<4|flags), length)
}

func appendVarint(dst []byte, n int) []byte {
	for n > 0x7f {
		dst = append(dst, byte(n&0x7f)|0x80)
		n >>= 7
	}
	return append(dst, byte(n&0x7f))
}

// truncate shortens a text to the greatest length that can be encoded, so that the fields
// after it stay in place. Callers must reject longer texts.
func truncate(s string) string {
	return s[:min(len(s), math.MaxUint16)]
}

func textSize(s string) int { return 2 + len(truncate(s)) }

func appendText(dst []byte, s string) []byte {
	s = truncate(s)
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...) //nolint:gosec // s is truncated
}

// The functions below leave out properties that are empty or 0.

func propertySize(s string) int {
	if s == "" {
		return 0
	}
	return 1 + textSize(s)
}

func appendProperty(dst []byte, id byte, s string) []byte {
	if s == "" {
		return dst
	}
	return appendText(append(dst, id), s)
}

func numberSize[N uint16 | uint32](n N, size int) int {
	if n == 0 {
		return 0
	}
	return 1 + size
}

func appendUint16(dst []byte, id byte, n uint16) []byte {
	if n == 0 {
		return dst
	}
	return binary.BigEndian.AppendUint16(append(dst, id), n)
}

func appendUint32(dst []byte, id byte, n uint32) []byte {
	if n == 0 {
		return dst
	}
	return binary.BigEndian.AppendUint32(append(dst, id), n)
}
