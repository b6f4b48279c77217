// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package otlptest has a receiver of OpenTelemetry spans for tests: OTLP over HTTP, decoded by the
// official protocol buffers.
package otlptest

import (
	"compress/gzip"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a received span.
type Span struct {
	Name                      string
	Kind                      string // producer, internal and so on
	TraceID, SpanID, ParentID string // in hexadecimal digits; ParentID is empty for a root
	TraceState                string
	Start, End                time.Time
	Attributes, Resource      map[string]string // values as texts
	Events                    []Event
	Error                     bool
	Description               string // of the status
}

// Event is an event of a span.
type Event struct {
	Name       string
	Attributes map[string]string
}

// EventNames returns the names of the events, in their order.
func (s *Span) EventNames() string {
	names := make([]string, len(s.Events))
	for i := range s.Events {
		names[i] = s.Events[i].Name
	}
	return strings.Join(names, ", ")
}

// Receiver receives spans.
type Receiver struct {
	t       testing.TB
	address string
	tls     *tls.Config // nil without TLS
	server  *http.Server

	mu       sync.Mutex
	spans    []*Span
	requests int
	headers  http.Header   // of the latest request
	path     string        // of the latest request
	status   int           // of the answers
	hang     chan struct{} // requests wait until it is closed; nil: they do not wait
}

// Start starts a receiver.
func Start(t testing.TB) *Receiver {
	t.Helper()
	return StartTLS(t, nil)
}

// StartTLS starts a receiver that uses TLS, unless config is nil.
func StartTLS(t testing.TB, config *tls.Config) *Receiver {
	t.Helper()
	r := &Receiver{t: t, address: "127.0.0.1:0", tls: config, status: http.StatusOK}
	r.Listen()
	t.Cleanup(r.Stop)
	return r
}

// Listen starts the receiver again at the same address after Stop.
func (r *Receiver) Listen() {
	r.t.Helper()
	listener, err := net.Listen("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.address = listener.Addr().String()
	r.server = &http.Server{
		Handler: http.HandlerFunc(r.receive), ReadHeaderTimeout: time.Minute, TLSConfig: r.tls,
		ErrorLog: log.New(io.Discard, "", 0), // failed TLS handshakes, which some tests cause
	}
	server := r.server
	serve := server.Serve
	if r.tls != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	go func() {
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			r.t.Error(err)
		}
	}()
}

// Stop closes all connections. Then the receiver cannot be reached.
func (r *Receiver) Stop() {
	r.Hang(false)
	_ = r.server.Close()
}

// URL returns the endpoint.
func (r *Receiver) URL() string {
	if r.tls != nil {
		return "https://" + r.address
	}
	return "http://" + r.address
}

// Hang makes requests wait without an answer, until Hang(false).
func (r *Receiver) Hang(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on && r.hang == nil {
		r.hang = make(chan struct{})
	}
	if !on && r.hang != nil {
		close(r.hang)
		r.hang = nil
	}
}

// Answer sets the status of all answers. Spans count as received with status 200 only.
func (r *Receiver) Answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// Requests returns the number of requests.
func (r *Receiver) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// LatestRequest returns the path and the headers of the latest request.
func (r *Receiver) LatestRequest() (path string, headers http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.path, r.headers
}

// Spans returns the received spans with a name, or all spans if name is empty.
func (r *Receiver) Spans(name string) (out []*Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if name == "" || s.Name == name {
			out = append(out, s)
		}
	}
	return out
}

// Wait waits until n spans with a name have arrived, and returns them.
func (r *Receiver) Wait(name string, n int, timeout time.Duration) []*Span {
	r.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		spans := r.Spans(name)
		if len(spans) >= n {
			return spans
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %s: %d spans with the name %q arrive; %d have arrived, in all %d", timeout, n, name, len(spans), len(r.Spans("")))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *Receiver) receive(w http.ResponseWriter, request *http.Request) {
	spans, err := decode(request)
	r.mu.Lock()
	r.requests++
	r.path, r.headers = request.URL.Path, request.Header
	hang, status := r.hang, r.status
	r.mu.Unlock()
	if err != nil {
		r.t.Errorf("the receiver refuses a request: %v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if hang != nil {
		select {
		case <-hang:
		case <-request.Context().Done():
			return
		}
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	r.mu.Lock()
	r.spans = append(r.spans, spans...)
	r.mu.Unlock()
	answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{})
	if err != nil {
		r.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func decode(request *http.Request) (out []*Span, err error) {
	if got := request.Header.Get("Content-Type"); got != "application/x-protobuf" {
		return nil, fmt.Errorf("the content type is %q", got)
	}
	body := io.Reader(request.Body)
	if request.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	message := &collector.ExportTraceServiceRequest{}
	if err := proto.Unmarshal(data, message); err != nil {
		return nil, err
	}
	for _, resource := range message.GetResourceSpans() {
		of := attributes(resource.GetResource().GetAttributes())
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				out = append(out, span(s, of))
			}
		}
	}
	return out, nil
}

func span(s *trace.Span, resource map[string]string) *Span {
	out := &Span{
		Name: s.GetName(), Kind: strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_")),
		TraceID: hex.EncodeToString(s.GetTraceId()), SpanID: hex.EncodeToString(s.GetSpanId()), ParentID: hex.EncodeToString(s.GetParentSpanId()),
		TraceState: s.GetTraceState(), Start: at(s.GetStartTimeUnixNano()), End: at(s.GetEndTimeUnixNano()),
		Attributes: attributes(s.GetAttributes()), Resource: resource,
		Error:       s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR,
		Description: s.GetStatus().GetMessage(),
	}
	for _, e := range s.GetEvents() {
		out.Events = append(out.Events, Event{e.GetName(), attributes(e.GetAttributes())})
	}
	return out
}

func at(nanoseconds uint64) time.Time { return time.Unix(0, int64(nanoseconds)) }

func attributes(all []*common.KeyValue) map[string]string {
	out := make(map[string]string, len(all))
	for _, a := range all {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			out[a.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			out[a.GetKey()] = fmt.Sprint(v.IntValue)
		case *common.AnyValue_BoolValue:
			out[a.GetKey()] = fmt.Sprint(v.BoolValue)
		case *common.AnyValue_DoubleValue:
			out[a.GetKey()] = fmt.Sprint(v.DoubleValue)
		default:
			out[a.GetKey()] = a.GetValue().String()
		}
	}
	return out
}
