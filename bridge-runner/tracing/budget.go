// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// bytesPerSpan is the memory of a budget for each of its spans, in bytes. It fits the span of a message with
	// a topic and a few events. Spans with more leave room for fewer spans.
	bytesPerSpan = 4 << 10
	// spanSize, attributeSize and eventSize are the sizes of the SDK's objects without texts, in bytes.
	spanSize, attributeSize, eventSize = 1 << 10, 64, 128
	// maxEvents is the largest number of events of a span that has not ended, without the event at its end. It
	// is below the limit of the SDK, which then keeps all of them.
	maxEvents = 32
)

// budget bounds spans by their number and by their size.
type budget struct {
	spans, bytes       atomic.Int64
	maxSpans, maxBytes int64
}

func newBudget(spans int) *budget {
	return &budget{maxSpans: int64(spans), maxBytes: int64(spans) * bytesPerSpan}
}

// take reserves room, and reports whether there was enough.
func (b *budget) take(spans, bytes int64) bool {
	n, size := b.spans.Add(spans), b.bytes.Add(bytes)
	if n <= b.maxSpans && size <= b.maxBytes {
		return true
	}
	b.give(spans, bytes)
	return false
}

// give returns room.
func (b *budget) give(spans, bytes int64) {
	b.spans.Add(-spans)
	b.bytes.Add(-bytes)
}

// sizeOf returns the size of a span that has ended, in bytes.
func sizeOf(s sdktrace.ReadOnlySpan) int64 {
	size := spanSize + int64(len(s.Name())) + sizeOfState(s.SpanContext()) + sizeOfAttributes(s.Attributes())
	for _, e := range s.Events() {
		size += eventSize + sizeOfAttributes(e.Attributes)
	}
	return size
}

// sizeOfState returns the size of the trace state of a context, in bytes.
func sizeOfState(c trace.SpanContext) (size int64) {
	state := c.TraceState()
	state.Walk(func(key, value string) bool {
		size += attributeSize + int64(len(key)+len(value))
		return true
	})
	return size
}

// sizeOfAttributes returns the size of attributes, in bytes.
func sizeOfAttributes(attributes []attribute.KeyValue) (size int64) {
	for i := range attributes {
		size += attributeSize
		if v := attributes[i].Value; v.Type() == attribute.STRING {
			size += int64(len(v.AsString()))
		}
	}
	return size
}

// openSpan is a span that has not ended. One goroutine at a time may use it.
type openSpan struct {
	trace.Span
	budget *budget
	// spans and bytes are reserved in the budget. spans is 0 for a switch.
	spans, bytes int64
	// events is the number of events, and leftOut the number of events for which there was no room.
	events, leftOut int
}

// event adds an event, if there is room for it.
func (s *openSpan) event(name string, attributes []attribute.KeyValue, options ...trace.EventOption) {
	size := eventSize + sizeOfAttributes(attributes)
	if s.events == maxEvents || !s.budget.take(0, size) {
		s.leftOut++
		return
	}
	s.events++
	s.bytes += size
	s.AddEvent(name, append(options, trace.WithAttributes(attributes...))...)
}

// end ends the span.
func (s *openSpan) end(options ...trace.SpanEndOption) {
	if s.leftOut > 0 {
		s.SetAttributes(keyEventsLeftOut.Int(s.leftOut))
	}
	s.End(options...)
	s.budget.give(s.spans, s.bytes)
}
