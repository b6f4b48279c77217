// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"strings"
)

// The codes of a [MalformedError] (MQTT 5 section 2.4).
const (
	CodeMalformedPacket byte = 0x81
	CodeProtocolError   byte = 0x82
	// CodeUnsupportedProtocolVersion is that of a CONNACK from which it looks as if
	// the server speaks another version only. Nothing answers it but the end of the
	// connection.
	CodeUnsupportedProtocolVersion byte = 0x84
	CodeTopicAliasInvalid          byte = 0x94
	CodePacketTooLarge             byte = 0x95
)

func malformed(code byte, format string, args ...any) error {
	return &MalformedError{Code: code, Text: fmt.Sprintf(format, args...)}
}

// checkReason refuses reason codes that a packet of MQTT 5 does not have
// ([MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1], [MQTT-3.14.2-1]) as
// far as they say success. One
// from 0x80 says failure (section 2.4), and does so also where this version of the
// specification does not know it: what it is a failure of must not be taken for a
// broken connection, and tried again and again.
func checkReason(in Type, code byte) error {
	var successes string
	switch in {
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return nil // Mochi acknowledges with codes that are none, and has taken the message
	default:
		successes = "\x00"
	}
	if code >= 0x80 || strings.IndexByte(successes, code) >= 0 {
		return nil
	}
	return malformed(CodeProtocolError, "%s with the reason code 0x%02x, which it does not have", in.indefinite(), code)
}
