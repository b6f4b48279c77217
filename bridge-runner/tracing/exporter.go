// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
)

// Counts are the numbers of spans of a process that have ended, by their fate.
type Counts struct {
	// Exported is the number of spans that a receiver has accepted.
	Exported atomic.Uint64
	// TooManyOpen is the number of messages that were to be traced while there was no room for another
	// open span. QueueFull is the number of spans for which the queue had no room, and ExportFailed the
	// number of spans that no receiver has accepted.
	TooManyOpen, QueueFull, ExportFailed atomic.Uint64
}

const (
	// serviceName is the default of OTEL_SERVICE_NAME.
	serviceName = "mqttbridge-runner"
	// scope is the instrumentation scope of all spans.
	scope = "github.com/mqttbridge/mqttbridge-operator/bridge-runner"
)

// exporter exports spans to one endpoint.
type exporter struct {
	// endpoint is the endpoint of the settings. It is empty if the environment names the receiver.
	endpoint string
	// users is the number of bridges that use the exporter. The lock of the process guards it.
	users int
	// all samples each span that is started. byEnvironment uses OTEL_TRACES_SAMPLER.
	all, byEnvironment *sdktrace.TracerProvider
	// open bounds the spans that have not ended. A message may wait for hours, and its span needs more memory
	// than a small message.
	open   *budget
	counts *Counts
}

// newExporter returns an exporter. It does not connect before the first span.
//
//nolint:contextcheck,nolintlint // nolintlint does not see that contextcheck uses it; it connects later
func newExporter(endpoint string, counts *Counts, log *slog.Logger) (*exporter, error) {
	client, err := newClient(endpoint)
	if err != nil {
		return nil, err
	}
	encoder, err := otlptrace.New(context.Background(), client)
	if err != nil {
		return nil, err
	}
	described, err := describeProcess()
	if err != nil { // a part of the environment is invalid; the rest is used
		log.Warn("a part of the resource of spans is left out; correct OTEL_RESOURCE_ATTRIBUTES", "error", err)
	}
	size := queueSize()
	waiting := newBudget(size)
	counting := &counting{SpanExporter: encoder, counts: counts, waiting: waiting, log: log, endpoint: endpoint}
	queue := &queue{SpanProcessor: sdktrace.NewBatchSpanProcessor(counting, sdktrace.WithMaxQueueSize(size)), counts: counts, waiting: waiting}
	to, of := sdktrace.WithSpanProcessor(queue), sdktrace.WithResource(described)
	return &exporter{
		endpoint: endpoint, open: newBudget(size), counts: counts,
		all:           sdktrace.NewTracerProvider(to, of, sdktrace.WithSampler(sdktrace.AlwaysSample())),
		byEnvironment: sdktrace.NewTracerProvider(to, of),
	}, nil
}

// describeProcess returns the resource of the spans of this process. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES replace and extend it.
//
//nolint:contextcheck,nolintlint // nolintlint does not see that contextcheck uses it; it reads the environment only
func describeProcess() (*resource.Resource, error) {
	version, _ := buildinfo.Version()
	attributes := []attribute.KeyValue{semconv.ServiceName(serviceName), semconv.ServiceVersion(version)}
	if pod := os.Getenv("POD_NAME"); pod != "" {
		attributes = append(attributes, semconv.K8SPodName(pod), semconv.ServiceInstanceID(pod))
	} else if host, err := os.Hostname(); err == nil {
		attributes = append(attributes, semconv.HostName(host))
	}
	if node := os.Getenv("NODE_NAME"); node != "" {
		attributes = append(attributes, semconv.K8SNodeName(node))
	}
	return resource.New(context.Background(), resource.WithAttributes(attributes...), resource.WithTelemetrySDK(), resource.WithFromEnv())
}

// maxQueue is the largest size of the queue. The SDK allocates the queue at once.
const maxQueue = 1 << 20

// queueSize returns the largest number of spans that wait to be exported, which is also the largest number of open spans.
func queueSize() int {
	n, err := strconv.Atoi(strings.TrimSpace(os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE")))
	if err != nil || n < 1 {
		return sdktrace.DefaultMaxQueueSize
	}
	return min(n, maxQueue)
}

// reserve reports whether the span of a message with this size may be opened. If so, it must be given back.
func (e *exporter) reserve(size int64) bool {
	if e.open.take(1, size) {
		return true
	}
	e.counts.TooManyOpen.Add(1)
	return false
}

// tracer returns the tracer that uses the sampler of the environment, or samples everything.
func (e *exporter) tracer(byEnvironment bool) trace.Tracer {
	if byEnvironment {
		return e.byEnvironment.Tracer(scope)
	}
	return e.all.Tracer(scope)
}

// shutdown exports the spans that have ended, for at most the given time.
//
//nolint:contextcheck,nolintlint // nolintlint does not see that contextcheck uses it; it has a time of its own: the contexts of the process have ended
func (e *exporter) shutdown(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_ = errors.Join(e.all.Shutdown(ctx), e.byEnvironment.Shutdown(ctx)) // counting logs failed exports
}

// queue bounds the spans that wait to be exported. The batch processor would drop the spans above
// its bound, too, but it does not count them.
type queue struct {
	sdktrace.SpanProcessor
	counts *Counts
	// waiting has the spans in the processor.
	waiting *budget
}

// OnEnd implements sdktrace.SpanProcessor. It does not block.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if !q.waiting.take(1, sizeOf(s)) {
		q.counts.QueueFull.Add(1)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// counting counts and logs the results of an exporter. The batch processor calls ExportSpans once at
// a time, but not always in the same goroutine.
type counting struct {
	sdktrace.SpanExporter
	counts   *Counts
	waiting  *budget
	log      *slog.Logger
	endpoint string

	mu sync.Mutex
	// failing says that the latest export has failed.
	failing bool
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error, because it has handled it.
func (c *counting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	n := len(spans)
	for _, s := range spans {
		c.waiting.give(1, sizeOf(s))
	}
	failed := 0
	var partly *rejectedError
	if errors.As(err, &partly) {
		failed = int(min(partly.spans, uint64(n))) //nolint:gosec // at most n
	} else if err != nil {
		failed = n
	}
	c.counts.ExportFailed.Add(uint64(failed))
	c.counts.Exported.Add(uint64(n - failed))
	c.mu.Lock()
	changed := c.failing != (err != nil)
	c.failing = err != nil
	c.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		c.log.Warn("spans cannot be exported, and are lost until this works again; the bridge forwards messages as before; check that the receiver of spec.tracing.endpoint accepts OTLP over HTTP",
			"endpoint", c.endpoint, "error", err)
	default:
		c.log.Info("spans are exported again", "endpoint", c.endpoint)
	}
	return nil
}
