// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tracing makes OpenTelemetry spans of messages and of switches, and exports them by OTLP.
//
// It promises:
//   - It never delays a message. Spans that have ended wait in a bounded queue. A span for which the
//     queue has no room, or that the collector does not accept, is dropped and counted.
//   - A collector that cannot be reached costs one line in the log when that begins, and one when
//     it ends.
//   - Without tracing, it starts no goroutine, opens no connection, and costs a message one
//     comparison with nil. A message that is not sampled costs a search for its trace context.
//   - A process that ends by a kill or a crash loses spans, and nothing else.
//
// The decision about a message is the sender's if it has one: the flag sampled of traceparent. Other
// messages are sampled at random. Switches are always sampled.
//
// Lock order: the lock of a pipe (package delivery), then a lock of this package or of the
// OpenTelemetry SDK. No code holds two locks of this package, except [Bridge].mu and then
// [Process].mu.
package tracing

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Settings are the settings of the tracing of a bridge.
type Settings struct {
	// Endpoint is the base URL of the receiver. If it is empty, the environment variables of
	// OpenTelemetry apply, and then http://localhost:4318.
	Endpoint string
	// PerMillion is the number of messages without a trace context that are sampled, per million.
	PerMillion uint32
	// ByEnvironment makes the sampler in the environment variable OTEL_TRACES_SAMPLER decide about
	// each message and each switch, in place of PerMillion.
	ByEnvironment bool
	// Topics adds the topics of messages to their spans.
	Topics bool
}

// disableVariable is the environment variable that turns OpenTelemetry off.
const disableVariable = "OTEL_SDK_DISABLED"

// Process exports the spans of all bridges of a process.
type Process struct {
	Counts
	log *slog.Logger
	// disabled is true if the environment turns OpenTelemetry off.
	disabled bool

	mu sync.Mutex // guards the fields below
	// exporters are the exporters in use, by endpoint.
	exporters map[string]*exporter
	// closing counts the exporters that end.
	closing sync.WaitGroup
}

// NewProcess returns a process that exports nothing yet. log must not block.
func NewProcess(log *slog.Logger) *Process {
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(newErrorHandler(log))
	return &Process{
		log: log, exporters: map[string]*exporter{},
		disabled: strings.EqualFold(strings.TrimSpace(os.Getenv(disableVariable)), "true"),
	}
}

// sdkLogInterval is the shortest time between two log lines about errors inside the OpenTelemetry
// SDK.
const sdkLogInterval = time.Minute

// newErrorHandler logs errors of the SDK. Failed exports are not among them: see counting.
func newErrorHandler(log *slog.Logger) otel.ErrorHandler {
	sometimes := rate.Sometimes{First: 1, Interval: sdkLogInterval}
	return otel.ErrorHandlerFunc(func(err error) {
		sometimes.Do(func() {
			log.Warn("OpenTelemetry reports an error; the bridge forwards messages as before; check spec.tracing and the environment variables that begin with OTEL_", "error", err)
		})
	})
}

// Bridge returns the tracing of a bridge, which is off until [Bridge.Apply]. If p is nil, it stays off.
func (p *Process) Bridge(namespace, name string) *Bridge {
	if p == nil {
		return nil
	}
	return &Bridge{process: p, attributes: []attribute.KeyValue{keyNamespace.String(namespace), keyBridge.String(name)}}
}

// Shutdown exports the spans that have ended, for at most the given time.
func (p *Process) Shutdown(timeout time.Duration) {
	p.mu.Lock()
	for endpoint, e := range p.exporters {
		delete(p.exporters, endpoint)
		p.closing.Go(func() { e.shutdown(timeout) })
	}
	p.mu.Unlock()
	p.closing.Wait()
}

// acquire returns the exporter to an endpoint. Each call needs a call of release.
func (p *Process) acquire(endpoint string) (*exporter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.exporters[endpoint]
	if e == nil {
		var err error
		if e, err = newExporter(endpoint, &p.Counts, p.log); err != nil {
			return nil, err
		}
		p.exporters[endpoint] = e
	}
	e.users++
	return e, nil
}

// release ends an exporter that no bridge uses any more, in the background.
func (p *Process) release(e *exporter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.users--
	if e.users > 0 || p.exporters[e.endpoint] != e {
		return
	}
	delete(p.exporters, e.endpoint)
	p.closing.Go(func() { e.shutdown(ShutdownTimeout) })
}

// ShutdownTimeout is the longest time in which the last spans are exported. It is well below the
// time that remains of a pod's grace period of 30 seconds after the drain of a bridge.
const ShutdownTimeout = 2 * time.Second

// Bridge makes the spans of one bridge. A nil Bridge makes none.
type Bridge struct {
	process    *Process
	attributes []attribute.KeyValue

	mu sync.Mutex // held while the settings change
	// current is nil while tracing is off.
	current atomic.Pointer[tracer]
}

// tracer makes spans with the settings that are in effect.
type tracer struct {
	trace.Tracer
	Settings
	exporter *exporter
	bridge   []attribute.KeyValue
}

// Apply changes the settings; nil turns tracing off. Spans that have begun end with the earlier settings,
// and are lost if no bridge uses the earlier endpoint any more. If the exporter cannot be made, tracing is
// off, and Apply logs why.
func (b *Bridge) Apply(s *Settings) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.current.Load()
	if before != nil && s != nil && before.Settings == *s {
		return
	}
	var next *tracer
	if s != nil && !b.process.disabled {
		e, err := b.process.acquire(s.Endpoint)
		if err != nil {
			b.process.log.Error("tracing is off, because the exporter cannot be made; the bridge forwards messages as before; correct spec.tracing or the environment variables that begin with OTEL_",
				"endpoint", s.Endpoint, "error", err)
		} else {
			next = &tracer{Tracer: e.tracer(s.ByEnvironment), Settings: *s, exporter: e, bridge: b.attributes}
		}
	}
	b.current.Store(next)
	if before != nil {
		b.process.release(before.exporter)
	}
}

// tracer returns the tracer in use, or nil while tracing is off.
func (b *Bridge) tracer() *tracer {
	if b == nil {
		return nil
	}
	return b.current.Load()
}

const million = 1_000_000

// samples reports whether a message with the given parent is sampled. With ByEnvironment, the SDK
// decides when the span is started.
func (t *tracer) samples(parent trace.SpanContext) bool {
	switch {
	case t.ByEnvironment:
		return true
	case parent.IsValid():
		return parent.IsSampled()
	}
	return rand.Uint32N(million) < t.PerMillion //nolint:gosec // a sample needs no secret
}

// start starts a span. It returns nil if the sampler decides against it.
func (t *tracer) start(parent trace.SpanContext, name string, options ...trace.SpanStartOption) trace.Span {
	ctx := context.Background()
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	_, span := t.Start(ctx, name, options...)
	if !span.IsRecording() {
		return nil
	}
	return span
}
