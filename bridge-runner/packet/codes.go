// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import "fmt"

// The codes of a [MalformedError] (MQTT 5 section 2.4).
const (
	CodeMalformedPacket byte = 0x81
	CodeProtocolError   byte = 0x82
	// CodeUnsupportedProtocolVersion is the code if a CONNACK suggests that the server
	// supports only another version. The client closes the connection without sending it.
	CodeUnsupportedProtocolVersion byte = 0x84
	CodePacketTooLarge             byte = 0x95
)

func malformed(code byte, format string, args ...any) error {
	return &MalformedError{Code: code, Text: fmt.Sprintf(format, args...)}
}
