// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// connackReasons maps the codes in a CONNACK to the expected reasons: return codes of MQTT 3.1.1
// (section 3.2.2.3) and reason codes of MQTT 5 (section 3.2.2.2).
var connackReasons = map[v1alpha1.ProtocolVersion]map[byte]string{
	v1alpha1.ProtocolVersion311: {
		1: v1alpha1.ReasonProtocolVersionRefused,
		2: v1alpha1.ReasonClientIDRejected,
		3: v1alpha1.ReasonServerUnavailable,
		4: v1alpha1.ReasonAuthenticationFailed,
		5: v1alpha1.ReasonAuthenticationFailed,
	},
	v1alpha1.ProtocolVersion5: {
		0x80: v1alpha1.ReasonConnectRefused, // unspecified
		0x81: v1alpha1.ReasonConnectRefused, // malformed packet
		0x82: v1alpha1.ReasonConnectRefused, // protocol error
		0x83: v1alpha1.ReasonConnectRefused, // implementation specific
		0x84: v1alpha1.ReasonProtocolVersionRefused,
		0x85: v1alpha1.ReasonClientIDRejected,
		0x86: v1alpha1.ReasonAuthenticationFailed, // user name or password
		0x87: v1alpha1.ReasonAuthenticationFailed, // not authorised
		0x88: v1alpha1.ReasonServerUnavailable,
		0x89: v1alpha1.ReasonServerUnavailable,    // busy
		0x8A: v1alpha1.ReasonAuthenticationFailed, // banned
		0x8C: v1alpha1.ReasonAuthenticationFailed, // method
		0x90: v1alpha1.ReasonConnectRefused,       // topic name of the Will
		0x95: v1alpha1.ReasonConnectRefused,       // packet too large
		0x97: v1alpha1.ReasonQuotaExceeded,
		0x99: v1alpha1.ReasonConnectRefused,    // payload format of the Will
		0x9A: v1alpha1.ReasonConnectRefused,    // retain not supported
		0x9B: v1alpha1.ReasonConnectRefused,    // QoS of the Will
		0x9C: v1alpha1.ReasonServerUnavailable, // use another server
		0x9D: v1alpha1.ReasonServerUnavailable, // server moved
		0x9F: v1alpha1.ReasonServerUnavailable, // connection rate
	},
}

// disconnectReasons maps the codes in a DISCONNECT (MQTT 5 section 3.14.2.1) to the expected
// reasons, if the reason is not ReasonDisconnected.
var disconnectReasons = map[byte]string{
	0x87: v1alpha1.ReasonAuthenticationFailed,
	0x89: v1alpha1.ReasonServerUnavailable,
	0x8B: v1alpha1.ReasonServerUnavailable,
	0x8E: v1alpha1.ReasonSessionTakenOver,
	0x97: v1alpha1.ReasonQuotaExceeded,
	0x9C: v1alpha1.ReasonServerUnavailable,
	0x9D: v1alpha1.ReasonServerUnavailable,
	0x9F: v1alpha1.ReasonServerUnavailable,
}

// disconnectCodes are all codes that a server can send.
var disconnectCodes = []byte{
	0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A,
	0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
}

func TestConnack_EachCode_UsesNextServer(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	for _, version := range both {
		for code := range 256 {
			reason, ok := connackReasons[version][byte(code)]
			if !ok {
				continue
			}
			f := attempt(fmt.Sprintf("CONNACK refuses: code 0x%02x", code), atOnce, reason, func(w *world) v1alpha1.Server {
				return refusing(w, version, byte(code))
			})
			f.versions = []v1alpha1.ProtocolVersion{version}
			runFault(t, b, &f, len(all())+code, row{version, []byte{1, 2}}, remote, toward)
		}
	}
}

func TestDisconnect_EachCode_UsesNextServer(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	for _, code := range disconnectCodes {
		reason, ok := disconnectReasons[code]
		if !ok {
			reason = v1alpha1.ReasonDisconnected
		}
		f := fault{
			name:   fmt.Sprintf("DISCONNECT: code 0x%02x", code),
			sieved: true,
			inject: func(w *world) { w.sieve.say(disconnect(code)) },
			toward: expect(atOnce, reason),
		}
		runFault(t, b, &f, len(all())+256+int(code), row{v1alpha1.ProtocolVersion5, []byte{1, 2}}, remote, toward)
	}
}
