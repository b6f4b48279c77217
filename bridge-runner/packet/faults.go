// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import "strings"

// Faults is a set of violations of the protocol in a packet whose fields can be found
// all the same. Such a packet is decoded without its invalid parts, so that it does not
// end the connection: a server would send the same packet again on the next one.
//
// The lower bits are the identifiers of properties that were invalid, or came twice, and
// were left out.
type Faults uint64

// The other faults.
const (
	// FaultProperties: a property is unknown or cut short. It and all properties behind
	// it were left out.
	FaultProperties Faults = 1 << (48 + iota)
	// FaultPropertyLength: the property length is malformed or goes beyond the packet's
	// end, so that a payload cannot be found.
	FaultPropertyLength
	// FaultNoTopic: the topic name is empty, and no topic alias stands for it.
	FaultNoTopic
	// FaultTopicUTF8: the topic name is not valid UTF-8.
	FaultTopicUTF8
	// FaultTopicNUL: the topic name holds a NUL character.
	FaultTopicNUL
	// FaultTopicWildcard: the topic name holds + or #.
	FaultTopicWildcard
	// FaultTopicAlias: there is a topic alias although the receiver allows none.
	FaultTopicAlias
	// FaultNoID: the packet identifier is 0.
	FaultNoID
	// FaultDup: the DUP flag is set at QoS 0.
	FaultDup
	// FaultFlags: the flags of the fixed header are not those of the packet type.
	FaultFlags
	// FaultTrailing: bytes follow the last field.
	FaultTrailing
	// FaultCode: the packet type does not have this reason code.
	FaultCode
	// FaultUnexpected: the packet answers nothing, or servers do not send it.
	FaultUnexpected
	// FaultTooLarge: the packet is larger than the receiver takes.
	FaultTooLarge
	// FaultSubscriptions: there are more than 256 Subscription Identifiers. All were
	// left out.
	FaultSubscriptions
)

const (
	topicFaults = FaultNoTopic | FaultTopicUTF8 | FaultTopicNUL | FaultTopicWildcard
	undelivered = topicFaults | FaultPropertyLength | FaultTooLarge
)

// Undeliverable reports whether a PUBLISH with these faults holds no message that can
// be forwarded.
func (f Faults) Undeliverable() bool { return f&undelivered != 0 }

// Kind names the gravest of the faults in one word, as a label of metrics.
func (f Faults) Kind() string {
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
	{FaultTopicNUL, "its topic name holds a NUL character"},
	{FaultTopicWildcard, "its topic name holds a wildcard"},
	{FaultTopicAlias, "it has a topic alias, and the bridge allows none"},
	{FaultPropertyLength, "its property length is malformed or goes beyond its end"},
	{FaultNoID, "its packet identifier is 0, so it cannot be acknowledged"},
	{FaultDup, "it has the DUP flag at QoS 0"},
	{FaultFlags, "the flags in its fixed header are wrong"},
	{FaultTrailing, "it has bytes behind its last field"},
	{FaultCode, "it has an unknown reason code"},
	{FaultUnexpected, "no server may send it at this point"},
	{FaultProperties, "it has properties that are unknown or cut short"},
	{FaultSubscriptions, "it has too many Subscription Identifiers"},
}

// String describes the faults of a packet, which "it" stands for.
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
