// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// operation is the name of the bridge's operation on a message. Spans of messages are named after it.
const operation = "forward"

// Direction returns the tracer of a direction, or nil while tracing is off. After [Bridge.Apply], the
// pipe needs the new one.
func (b *Bridge) Direction(name string) delivery.Tracer {
	t := b.tracer()
	if t == nil {
		return nil
	}
	return &direction{tracer: t, name: name}
}

// direction starts the spans of the messages of one direction.
type direction struct {
	*tracer
	name string
}

// Start implements delivery.Tracer. The span starts with the arrival of the message.
func (d *direction) Start(r *manifest.Rule, in *session.Inbound, m *session.Message) delivery.Span {
	from := extract(in.Properties)
	if !d.samples(from.parent) {
		return nil
	}
	template := shorten(destinationTemplate(r))
	more := []attribute.KeyValue{keyRule.String(shorten(r.Name)), semconv.MessagingDestinationTemplate(template)}
	if s := in.Session(); s != nil {
		more = append(more, keySourceServer.String(s.Server()))
	}
	return d.begin(operation+" "+template, &from, in.ReceivedAt, m, more)
}

// Continue implements delivery.Tracer. A message without a trace context was not sampled when it
// arrived.
func (d *direction) Continue(m *session.Message) delivery.Span {
	from := extract(m.Properties)
	if !from.parent.IsValid() || !d.samples(from.parent) {
		return nil
	}
	return d.begin(operation, &from, time.Now(), m, []attribute.KeyValue{keyBuffered.Bool(true)})
}

// begin starts the span of a message, and puts its context into the message. It returns nil, and does
// not change the message, if there is no room for another open span.
func (d *direction) begin(name string, from *carried, at time.Time, m *session.Message, more []attribute.KeyValue) delivery.Span {
	more = append(more,
		semconv.MessagingSystemKey.String("mqtt"),
		semconv.MessagingOperationName(operation),
		semconv.MessagingOperationTypeSend,
		semconv.MessagingMessageBodySize(len(m.Payload)),
		keyDirection.String(d.name),
		keyQoS.Int(int(m.QoS)),
	)
	if d.Topics { // a copy, because the topic may be a part of the received packet
		more = append(more, semconv.MessagingDestinationName(strings.Clone(shorten(m.Topic))))
	}
	parent := from.parent
	if parent.IsValid() {
		parent = from.context()
	}
	size := spanSize + int64(len(name)) + sizeOfState(parent) + sizeOfAttributes(d.bridge) + sizeOfAttributes(more)
	if !d.exporter.reserve(size) {
		return nil
	}
	span := d.start(parent, name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(at),
		trace.WithAttributes(d.bridge...), trace.WithAttributes(more...))
	if span == nil {
		d.exporter.open.give(1, size)
		return nil
	}
	m.Properties = inject(m.Properties, span.SpanContext(), parent.IsValid())
	return &messageSpan{openSpan{Span: span, budget: d.exporter.open, spans: 1, bytes: size}, m.QoS > 0}
}

// destinationTemplate returns a text that stands for all topics under which a rule publishes: its
// filter if it keeps the topic, otherwise its topic, with its placeholders.
func destinationTemplate(r *manifest.Rule) string {
	if template := r.Mapping.String(); template != v1alpha1.DefaultTopic {
		return template
	}
	return r.Filter.String()
}

// messageSpan is the span of a message. It implements delivery.Span.
type messageSpan struct {
	openSpan
	// acknowledged says that the destination acknowledges the message, because its QoS is not 0.
	acknowledged bool
}

func (s *messageSpan) Written(server string, again bool) {
	s.event("written", []attribute.KeyValue{keyServer.String(server), keyAgain.Bool(again)})
}

func (s *messageSpan) Refused(server string, why error) {
	s.event("refused", []attribute.KeyValue{keyServer.String(server), keyMessage.String(explain(why))})
}

func (s *messageSpan) End(o delivery.Outcome) {
	s.SetAttributes(keyOutcome.String(string(o.Result)))
	switch o.Result {
	case delivery.ResultDelivered:
		if s.acknowledged {
			s.AddEvent("acknowledged")
		}
		s.SetAttributes(keyServer.String(o.Server))
	case delivery.ResultDropped, delivery.ResultDeadLetter:
		s.SetAttributes(semconv.ErrorTypeKey.String(o.Cause))
		description := o.Cause
		if o.Err != nil {
			description += ": " + explain(o.Err)
		}
		s.SetStatus(codes.Error, shorten(description))
	case delivery.ResultStored, delivery.ResultLeft:
	}
	s.end()
}

// explain returns the message of an error as users see it.
func explain(err error) string {
	if err == nil {
		return ""
	}
	return shorten(diagnosis.Of(err).Message)
}
