// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// The attributes of the project. docs/tracing.md explains them. The other attributes are from
// OpenTelemetry's semantic conventions.
const (
	keyNamespace    = attribute.Key("mqttbridge.namespace")
	keyBridge       = attribute.Key("mqttbridge.bridge")
	keyDirection    = attribute.Key("mqttbridge.direction")
	keyRule         = attribute.Key("mqttbridge.rule")
	keyQoS          = attribute.Key("mqttbridge.qos")
	keySourceServer = attribute.Key("mqttbridge.source.server")
	keyServer       = attribute.Key("mqttbridge.server")
	keyAgain        = attribute.Key("mqttbridge.again")
	keyOutcome      = attribute.Key("mqttbridge.outcome")
	keyBuffered     = attribute.Key("mqttbridge.buffered")
	keySide         = attribute.Key("mqttbridge.side")
	keyFrom         = attribute.Key("mqttbridge.switch.from")
	keyTo           = attribute.Key("mqttbridge.switch.to")
	keyReason       = attribute.Key("mqttbridge.reason")
	keyMessage      = attribute.Key("mqttbridge.message")
	keySilent       = attribute.Key("mqttbridge.silent_seconds")
	keyDrained      = attribute.Key("mqttbridge.switch.drained")
	keyResent       = attribute.Key("mqttbridge.switch.resent")

	keyEventsLeftOut = attribute.Key("mqttbridge.events_left_out")
)

// maxText is the largest size of a text of an attribute, in bytes. Topics, filters and texts of servers may be long.
const maxText = 512

// shorten returns a text with at most maxText bytes, cut at the end of a character. The result does not keep a longer
// text in memory.
func shorten(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.Clone(printable.Cut(s, maxText))
}
