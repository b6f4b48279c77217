// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import "fmt"

// decode decodes wire, which must be exactly one packet.
func decode(v Version, wire string) (any, error) {
	f, n, err := Next([]byte(wire), v, 0)
	if err != nil {
		return nil, err
	}
	if n != len(wire) {
		return nil, fmt.Errorf("Next took %d of %d bytes", n, len(wire))
	}
	return decodeFrame(v, f)
}

func decodeFrame(v Version, f Frame) (any, error) {
	switch f.Type {
	case CONNACK:
		return DecodeConnack(v, f.Body)
	case PUBLISH:
		return DecodePublish(v, f.Flags, string(f.Body))
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return DecodeAck(v, f)
	case SUBACK:
		return DecodeSuback(v, f)
	case DISCONNECT:
		return DecodeDisconnect(f.Body), nil
	default: // the fields of other packets are not used
		return f, nil
	}
}
