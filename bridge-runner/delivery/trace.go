// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Tracer starts the spans of the messages of a direction. Its methods, and the methods of a [Span],
// are called with Pipe.mu held, and must be quick.
//
// A span covers the time for which the message is in the memory of this process. A message that
// leaves memory for the disk has a second span when it is read again, which continues the first
// one: the trace context is stored with the message.
type Tracer interface {
	// Start returns the span of m, which the rule r has derived from in, and puts the context of
	// the span into the properties of m. If the message is not sampled, it returns nil and does
	// not change m.
	Start(r *manifest.Rule, in *session.Inbound, m *session.Message) Span
	// Continue does the same for a message that was read from the disk. It returns nil if the
	// message has no context of a sampled span.
	Continue(m *session.Message) Span
}

// Span is the span of a message. Each span ends once.
type Span interface {
	// Written records that the message was written to the connection with a server. again says
	// that this was not the first time.
	Written(server string, again bool)
	// Refused records that a server has refused the message, which is sent again later.
	Refused(server string, why error)
	// End ends the span. No other method is called after it.
	End(o Outcome)
}

// Outcome is the end of a message, or of its stay in memory.
type Outcome struct {
	Result Result
	// Server is the server that has acknowledged the message. It is empty unless Result is
	// ResultDelivered.
	Server string
	// Cause is one of [DropCauses] if Result is ResultDropped or ResultDeadLetter, otherwise empty.
	Cause string
	// Err explains Cause. It may be nil.
	Err error
}

// Result says how the span of a message ended.
type Result string

// The results.
const (
	ResultDelivered  Result = "delivered"   // the destination has acknowledged the message; at QoS 0: it was written
	ResultStored     Result = "stored"      // the message is on the disk, and is read again later
	ResultDropped    Result = "dropped"     // the message was dropped
	ResultDeadLetter Result = "dead_letter" // a dead letter replaces the message
	ResultLeft       Result = "left"        // the bridge has ended before; the source or the disk keeps the message if its QoS is 1 or 2
)

// startSpanLocked starts the span of a message that was derived from in, if it is sampled.
func (p *Pipe) startSpanLocked(m *outgoing, r *manifest.Rule, in *session.Inbound) {
	p.addSpanLocked(m, p.opts.Tracer.Start(r, in, &m.Message))
}

// continueSpanLocked starts the span of a message that was read from the disk, if it is sampled.
func (p *Pipe) continueSpanLocked(m *outgoing) {
	p.addSpanLocked(m, p.opts.Tracer.Continue(&m.Message))
}

func (p *Pipe) addSpanLocked(m *outgoing, s Span) {
	if s == nil {
		return
	}
	if p.spans == nil {
		p.spans = map[*outgoing]Span{}
	}
	p.spans[m] = s
}

// spanLocked returns the span of m, or nil if it has none.
func (p *Pipe) spanLocked(m *outgoing) Span {
	if len(p.spans) == 0 {
		return nil
	}
	return p.spans[m]
}

// endSpanLocked ends the span of m, if it has one. Only the first call for a message has an effect.
func (p *Pipe) endSpanLocked(m *outgoing, o Outcome) {
	if s := p.spanLocked(m); s != nil {
		delete(p.spans, m)
		s.End(o)
	}
}

// traceRefusalLocked records in the span of m that the destination does not accept it at present.
func (p *Pipe) traceRefusalLocked(m *outgoing, why error) {
	s := p.spanLocked(m)
	if s == nil {
		return
	}
	server := ""
	if p.dest != nil {
		server = p.dest.Server()
	}
	s.Refused(server, why)
}

// EndSpans ends the spans of the messages that the pipe has not delivered. It is called when the
// pipe has no session and no spool any more.
func (p *Pipe) EndSpans() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for m := range p.spans {
		p.endSpanLocked(m, Outcome{Result: ResultLeft})
	}
}
