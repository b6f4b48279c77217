// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import "strings"

// Faults is a set of protocol violations in a packet whose fields can nevertheless be
// found. Such a packet is decoded without its invalid parts, so that it does not end the
// connection: a server would send the same packet again on the next connection.
//
// Bit n of the lower bits stands for the property with identifier n. It means that the
// property was invalid or repeated, and was left out.
type Faults uint64

// The other faults.
const (
	// FaultProperties: a property is unknown or truncated. It and all properties after it
	// were left out.
	FaultProperties Faults = 1 << (48 + iota)
	// FaultPropertyLength: the property length is malformed or exceeds the packet, so that
	// the payload cannot be found.
	FaultPropertyLength
	// FaultNoTopic: the topic name is empty, and there is no topic alias.
	FaultNoTopic
	// FaultTopicUTF8: the topic name is not valid UTF-8.
	FaultTopicUTF8
	// FaultTopicNUL: the topic name contains a NUL character.
	FaultTopicNUL
	// FaultTopicWildcard: the topic name contains + or #.
	FaultTopicWildcard
	// FaultTopicAlias: there is a topic alias, but the receiver allows none.
	FaultTopicAlias
	// FaultNoID: the packet identifier is 0.
	FaultNoID
	// FaultDup: the DUP flag is set at QoS 0.
	FaultDup
	// FaultFlags: the flags of the fixed header are wrong for the packet type.
	FaultFlags
	// FaultTrailing: bytes follow the last field.
	FaultTrailing
	// FaultCode: the reason code does not exist for the packet type.
	FaultCode
	// FaultUnexpected: the packet answers nothing, or servers do not send it.
	FaultUnexpected
	// FaultTooLarge: the packet is larger than the receiver accepts.
	FaultTooLarge
	// FaultSubscriptions: there are more than 256 Subscription Identifiers. All of them
	// were left out.
	FaultSubscriptions
)

const (
	topicFaults   = FaultNoTopic | FaultTopicUTF8 | FaultTopicNUL | FaultTopicWildcard
	undeliverable = topicFaults | FaultPropertyLength | FaultTooLarge
)

// Undeliverable reports whether a PUBLISH with these faults contains no message that can
// be forwarded.
func (f Faults) Undeliverable() bool { return f&undeliverable != 0 }

// FaultLabels are the values of [Faults.Label].
var FaultLabels = []string{"too_large", "topic", "topic_alias", "packet_identifier", "unexpected", "header", "properties"}

// Label returns one word for the most serious fault, for use as a metric label. It is
// empty if there are no faults.
func (f Faults) Label() string {
	switch {
	case f == 0:
		return ""
	case f&FaultTooLarge != 0:
		return "too_large"
	case f&topicFaults != 0:
		return "topic"
	case f&FaultTopicAlias != 0:
		return "topic_alias"
	case f&FaultNoID != 0:
		return "packet_identifier"
	case f&FaultUnexpected != 0:
		return "unexpected"
	case f&(FaultFlags|FaultDup|FaultTrailing|FaultCode) != 0:
		return "header"
	}
	return "properties"
}

var faultTexts = []struct {
	fault Faults
	text  string
}{
	{FaultTooLarge, "it is larger than maximumPacketSize"},
	{FaultNoTopic, "it has no topic name"},
	{FaultTopicUTF8, "its topic name is not valid UTF-8"},
	{FaultTopicNUL, "its topic name contains a NUL character"},
	{FaultTopicWildcard, "its topic name contains a wildcard"},
	{FaultTopicAlias, "it has a topic alias, but the bridge allows none"},
	{FaultPropertyLength, "its property length is malformed or exceeds the packet"},
	{FaultNoID, "its packet identifier is 0, so it cannot be acknowledged"},
	{FaultDup, "it has the DUP flag at QoS 0"},
	{FaultFlags, "the flags in its fixed header are wrong"},
	{FaultTrailing, "it has bytes after its last field"},
	{FaultCode, "it has an unknown reason code"},
	{FaultUnexpected, "no server may send it at this point"},
	{FaultProperties, "it has unknown or truncated properties"},
	{FaultSubscriptions, "it has more than 256 Subscription Identifiers"},
}

// String describes the faults of a packet. In the text, "it" is the packet.
func (f Faults) String() string {
	var all []string
	for _, t := range faultTexts {
		if f&t.fault != 0 {
			all = append(all, t.text)
		}
	}
	for id := range properties {
		if f>>id&1 != 0 {
			all = append(all, "its "+properties[id].name+" is invalid")
		}
	}
	return strings.Join(all, "; ")
}
