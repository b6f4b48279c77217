// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
)

// Side makes the spans of the switches of one side: from the loss of the server in use to the next
// server, with an event for each failed attempt, and from the start of the drain to the other server
// if the server has not failed. It passes all calls on to another observer.
type Side struct {
	connector.Observer
	bridge *Bridge
	name   string

	mu sync.Mutex // guards the fields below
	// servers are the names of the servers, in the order of the indexes.
	servers []string
	// active is the name of the server in use. It is empty before the first one.
	active string
	// outage is the span of the loss of a server, until another one is in use. It is nil if there is
	// none, or if tracing was off.
	outage *openSpan
}

// Observer returns an observer that makes the spans of a side, and passes all calls on to next. servers
// are the names of the servers.
func (b *Bridge) Observer(side string, servers []string, next connector.Observer) *Side {
	return &Side{Observer: next, bridge: b, name: side, servers: servers}
}

// ServersChanged implements connector.Observer.
func (s *Side) ServersChanged(servers []connector.Server, kept []int, at time.Time) {
	names := make([]string, len(servers))
	for i := range servers {
		names[i] = servers[i].Name
	}
	s.mu.Lock()
	s.servers = names
	s.mu.Unlock()
	s.Observer.ServersChanged(servers, kept, at)
}

// Lost implements connector.Observer.
func (s *Side) Lost(server int, why *diagnosis.Problem, silent time.Duration, at time.Time) {
	s.mu.Lock()
	s.endLocked(at) // there is none: the lost server was in use
	if t := s.bridge.tracer(); t != nil {
		s.outage = s.startLocked(t, at, keyFrom.String(s.servers[server]), keyReason.String(why.Reason),
			keySilent.Float64(silent.Seconds()), semconv.ErrorTypeKey.String(why.Reason))
	}
	if s.outage != nil {
		s.outage.SetStatus(codes.Error, shorten(why.Message))
	}
	s.mu.Unlock()
	s.Observer.Lost(server, why, silent, at)
}

// Failed implements connector.Observer.
func (s *Side) Failed(server int, why *diagnosis.Problem, at time.Time) {
	s.mu.Lock()
	if s.outage != nil {
		s.outage.event("connection failed", []attribute.KeyValue{
			keyServer.String(s.servers[server]), keyReason.String(why.Reason), keyMessage.String(shorten(why.Message)),
		}, trace.WithTimestamp(at))
	}
	s.mu.Unlock()
	s.Observer.Failed(server, why, at)
}

// Connected implements connector.Observer.
func (s *Side) Connected(server int, at time.Time) {
	s.mu.Lock()
	s.active = s.servers[server]
	if s.outage != nil {
		s.outage.AddEvent("connected", trace.WithTimestamp(at), trace.WithAttributes(keyServer.String(s.active)))
		s.outage.SetAttributes(keyTo.String(s.active))
		s.endLocked(at)
	}
	s.mu.Unlock()
	s.Observer.Connected(server, at)
}

// Switched implements connector.Observer.
func (s *Side) Switched(server int, how connector.Switch, at time.Time) {
	s.mu.Lock()
	from := s.active
	s.active = s.servers[server]
	if t := s.bridge.tracer(); t != nil {
		span := s.startLocked(t, at.Add(-how.Interruption), keyFrom.String(from), keyTo.String(s.active), keyReason.String(how.Reason),
			keyDrained.Int(how.Drained), keyResent.Int(how.Resent))
		if span != nil {
			span.end(trace.WithTimestamp(at))
		}
	}
	s.mu.Unlock()
	s.Observer.Switched(server, how, at)
}

// End ends the span of an outage that lasts until the end of the bridge: it names no next server.
func (s *Side) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(time.Now())
}

// startLocked starts the span of a switch. It returns nil if it is not sampled.
func (s *Side) startLocked(t *tracer, at time.Time, attributes ...attribute.KeyValue) *openSpan {
	span := t.start(trace.SpanContext{}, "switch "+s.name, trace.WithSpanKind(trace.SpanKindInternal), trace.WithTimestamp(at),
		trace.WithAttributes(t.bridge...), trace.WithAttributes(keySide.String(s.name)), trace.WithAttributes(attributes...))
	if span == nil {
		return nil
	}
	return &openSpan{Span: span, budget: t.exporter.open}
}

// endLocked ends the span of an outage, if there is one.
func (s *Side) endLocked(at time.Time) {
	if s.outage != nil {
		s.outage.end(trace.WithTimestamp(at))
		s.outage = nil
	}
}
