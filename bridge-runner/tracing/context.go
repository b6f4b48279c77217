// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"encoding/hex"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// The names of the user properties that carry the trace context of a message, as the W3C draft
// "Trace Context: MQTT protocol" defines them.
const (
	propertyParent = "traceparent"
	propertyState  = "tracestate"
)

const (
	// maxMembers is the largest number of members of a valid trace state.
	maxMembers = 32
	// maxState is the largest size of a valid trace state, in bytes: each member has a key and a value of
	// 256 bytes.
	maxState = maxMembers*(256+1+256) + maxMembers - 1
)

// carried is the trace context that a message carries.
type carried struct {
	// parent is the context of the sender's span, without its trace state. It is not valid if the
	// message has no valid traceparent.
	parent trace.SpanContext
	// state is the value of tracestate, or the joined values if there are several. It is empty if it is
	// longer than a valid one.
	state string
}

// extract returns the trace context in the properties of a message. p may be nil.
func extract(p *packet.Properties) (c carried) {
	if p == nil || p.User == "" {
		return c
	}
	parents, states := 0, 0
	for name, value := range p.User.All() {
		switch name {
		case propertyParent:
			parents++
			c.parent = parseParent(value)
		case propertyState:
			if value == "" {
				continue
			}
			states++
			if c.state != "" {
				value = c.state + "," + value
			}
			if c.state = value; states > maxMembers || len(value) > maxState {
				c.state, states = "", maxMembers // invalid; a hostile client may send very many
			}
		}
	}
	if parents > 1 { // it is unknown which one is right
		c.parent = trace.SpanContext{}
	}
	return c
}

// context returns the context of the sender's span with its trace state, if that is valid.
func (c *carried) context() trace.SpanContext {
	state, err := trace.ParseTraceState(strings.Clone(c.state)) // the span must not keep the message in memory
	if err != nil {
		return c.parent
	}
	return c.parent.WithTraceState(state)
}

// The form of traceparent (W3C Trace Context section 3.2): version, trace ID, parent ID and flags in
// hexadecimal digits, as in 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.
const (
	parentSize     = 55
	traceIDStart   = 3
	spanIDStart    = 36
	flagsStart     = 53
	invalidVersion = 0xff
	// knownFlags are the flags that the bridge passes on: sampled, and random of level 2.
	knownFlags = 0x03
)

// parseParent parses a traceparent. The result is not valid if the value is not. Values of later
// versions are read as the specification requires. It allocates nothing.
func parseParent(value string) trace.SpanContext {
	if len(value) < parentSize || value[traceIDStart-1] != '-' || value[spanIDStart-1] != '-' || value[flagsStart-1] != '-' {
		return trace.SpanContext{}
	}
	version, ok := parseByte(value[:2])
	if !ok || version == invalidVersion || len(value) > parentSize && (version == 0 || value[parentSize] != '-') {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(value[traceIDStart : spanIDStart-1])
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(value[spanIDStart : flagsStart-1])
	if err != nil {
		return trace.SpanContext{}
	}
	flags, ok := parseByte(value[flagsStart:parentSize])
	if !ok {
		return trace.SpanContext{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags & knownFlags), Remote: true})
}

// parseByte parses two lower case hexadecimal digits.
func parseByte(digits string) (value byte, ok bool) {
	high, low := strings.IndexByte(hexDigits, digits[0]), strings.IndexByte(hexDigits, digits[1])
	if high < 0 || low < 0 {
		return 0, false
	}
	return byte(high<<4 | low), true //nolint:gosec // both are less than 16
}

const hexDigits = "0123456789abcdef"

// inject returns the properties of a message with the context of a span in place of the context
// that it carries. A span without a parent begins a trace, to which no trace state belongs. p may be
// nil, and is not changed, because rules share it.
func inject(p *packet.Properties, span trace.SpanContext, hasParent bool) *packet.Properties {
	var out packet.Properties
	if p != nil {
		out = *p
	}
	out.User = out.User.Without(propertyParent)
	if !hasParent {
		out.User = out.User.Without(propertyState)
	}
	out.User = out.User.With(packet.UserProperty{Name: propertyParent, Value: formatParent(span)})
	return &out
}

// formatParent returns the traceparent of a span.
func formatParent(span trace.SpanContext) string {
	traceID, spanID := span.TraceID(), span.SpanID()
	out := make([]byte, 0, parentSize)
	out = append(out, "00-"...)
	out = hex.AppendEncode(out, traceID[:])
	out = append(out, '-')
	out = hex.AppendEncode(out, spanID[:])
	out = append(out, '-')
	return string(hex.AppendEncode(out, []byte{byte(span.TraceFlags() & knownFlags)}))
}
