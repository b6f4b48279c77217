// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
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
	template := destinationTemplate(r)
	more := []attribute.KeyValue{keyRule.String(r.Name), semconv.MessagingDestinationTemplate(template)}
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
// not change the message, if too many spans are open.
func (d *direction) begin(name string, from *carried, at time.Time, m *session.Message, more []attribute.KeyValue) delivery.Span {
	if !d.exporter.reserve() {
		return nil
	}
	more = append(more,
		semconv.MessagingSystemKey.String("mqtt"),
		semconv.MessagingOperationName(operation),
		semconv.MessagingOperationTypeSend,
		semconv.MessagingMessageBodySize(len(m.Payload)),
		keyDirection.String(d.name),
		keyQoS.Int(int(m.QoS)),
	)
	if d.Topics {
		more = append(more, semconv.MessagingDestinationName(m.Topic))
	}
	parent := from.parent
	if parent.IsValid() {
		parent = from.context()
	}
	span := d.start(parent, name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(at),
		trace.WithAttributes(d.bridge...), trace.WithAttributes(more...))
	if span == nil {
		d.exporter.release()
		return nil
	}
	m.Properties = inject(m.Properties, span.SpanContext(), parent.IsValid())
	return &messageSpan{span: span, exporter: d.exporter, acknowledged: m.QoS > 0}
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
	span     trace.Span
	exporter *exporter
	// acknowledged says that the destination acknowledges the message, because its QoS is not 0.
	acknowledged bool
}

func (s *messageSpan) Written(server string, again bool) {
	s.span.AddEvent("written", trace.WithAttributes(keyServer.String(server), keyAgain.Bool(again)))
}

func (s *messageSpan) Refused(server string, why error) {
	s.span.AddEvent("refused", trace.WithAttributes(keyServer.String(server), keyMessage.String(explain(why))))
}

func (s *messageSpan) End(o delivery.Outcome) {
	s.span.SetAttributes(keyOutcome.String(string(o.Result)))
	switch o.Result {
	case delivery.ResultDelivered:
		if s.acknowledged {
			s.span.AddEvent("acknowledged")
		}
		s.span.SetAttributes(keyServer.String(o.Server))
	case delivery.ResultDropped, delivery.ResultDeadLetter:
		s.span.SetAttributes(semconv.ErrorTypeKey.String(o.Cause))
		description := o.Cause
		if o.Err != nil {
			description += ": " + explain(o.Err)
		}
		s.span.SetStatus(codes.Error, shorten(description))
	case delivery.ResultStored, delivery.ResultLeft:
	}
	s.span.End()
	s.exporter.release()
}

// explain returns the message of an error as users see it.
func explain(err error) string {
	if err == nil {
		return ""
	}
	return shorten(diagnosis.Of(err).Message)
}
