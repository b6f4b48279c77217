// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import "encoding/binary"

// AppendPublish appends a PUBLISH (section 3.3) to dst. It leaves out the Subscription
// Identifiers, which clients do not send ([MQTT-3.3.4-6] of MQTT 5), and the DUP flag at
// QoS 0 ([MQTT-3.3.1-2]). The result of [SizePublish] must not exceed [MaxSize].
func AppendPublish(dst []byte, v Version, p *Publish) []byte {
	flags := p.QoS << 1
	if p.Retain {
		flags |= publishRetain
	}
	if p.Dup && p.QoS > 0 {
		flags |= publishDup
	}
	length, properties := publishSize(v, p)
	dst = appendHeader(dst, PUBLISH, flags, length)
	dst = appendText(dst, p.Topic)
	if p.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, p.ID)
	}
	if v == V5 {
		dst = appendVarint(dst, properties)
		if properties > 0 {
			dst = appendUint16(dst, topicAlias, p.TopicAlias)
			dst = appendProperties(dst, p.Properties)
		}
	}
	return append(dst, p.Payload...)
}

// SizePublish returns the size in bytes of the whole packet that [AppendPublish] appends.
// It must not exceed the server's Maximum Packet Size ([MQTT-3.2.2-15] of MQTT 5).
func SizePublish(v Version, p *Publish) int {
	length, _ := publishSize(v, p)
	return 1 + varintSize(length) + length
}

// publishSize returns the remaining length and the property length.
func publishSize(v Version, p *Publish) (length, properties int) {
	length = textSize(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		length += 2
	}
	if v == V5 {
		properties = numberSize(p.TopicAlias, 2) + p.Properties.Size()
		length += varintSize(properties) + properties
	}
	return length, properties
}

// Size returns the size in bytes of the encoded properties. It returns 0 if p is nil.
func (p *Properties) Size() int {
	if p == nil {
		return 0
	}
	size := propertySize(p.ContentType) + propertySize(p.ResponseTopic) + propertySize(p.CorrelationData)
	if p.PayloadUTF8 {
		size += 1 + 1
	}
	if p.Expires {
		size += 1 + 4
	}
	return size + len(p.User)
}

func appendProperties(dst []byte, p *Properties) []byte {
	if p == nil {
		return dst
	}
	if p.PayloadUTF8 {
		dst = append(dst, payloadFormat, 1)
	}
	if p.Expires {
		dst = binary.BigEndian.AppendUint32(append(dst, messageExpiry), p.Expiry)
	}
	dst = appendProperty(dst, contentType, p.ContentType)
	dst = appendProperty(dst, responseTopic, p.ResponseTopic)
	dst = appendProperty(dst, correlationData, p.CorrelationData)
	return append(dst, p.User...)
}
