// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
)

// client sends spans by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp). It
// implements otlptrace.Client: the library encodes the spans. The library's own client, otlptracehttp,
// links gRPC, which makes the runner larger than all other parts of tracing together.
type client struct {
	url     string
	headers http.Header
	gzip    bool
	http    *http.Client
}

const (
	// firstRetry and lastRetry are the shortest and the longest pause before a request is sent again.
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
	// maxAnswer is the largest part of an answer that is read, in bytes.
	maxAnswer = 4096
)

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. It sends a batch again until the context ends, if the
// receiver asks for that.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// TracesData has the encoding of ExportTraceServiceRequest, whose package links gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	if c.gzip {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(body); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		body = b.Bytes()
	}
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := c.post(ctx, body)
		var later *retryError
		if !errors.As(err, &later) {
			return err
		}
		select {
		case <-time.After(max(pause, later.after)):
		case <-ctx.Done():
			return err
		}
	}
}

// retryError is an answer that asks to send the request again.
type retryError struct {
	status string
	// after is the shortest pause before that.
	after time.Duration
}

func (e *retryError) Error() string { return "the receiver is not ready: " + e.status }

// post sends one request.
func (c *client) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	version, _ := buildinfo.Version()
	request.Header.Set("User-Agent", "mqttbridge-runner/"+version)
	for name, values := range c.headers {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	if c.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case response.StatusCode/100 == 2 && err == nil:
		return rejected(answer, response.Header.Get("Content-Type"))
	case response.StatusCode/100 == 2:
		return err
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return &retryError{response.Status, time.Duration(max(seconds, 0)) * time.Second}
	}
	return fmt.Errorf("the receiver answers %s: %s", response.Status, strings.TrimSpace(strings.ToValidUTF8(string(answer), "")))
}

// The fields of ExportTraceServiceResponse and of its partial success.
const (
	fieldPartialSuccess = 1
	fieldRejectedSpans  = 1
	fieldErrorMessage   = 2
)

// rejected returns an error if an answer says that the receiver has rejected some of the spans.
func rejected(answer []byte, contentType string) error {
	if contentType != "application/x-protobuf" {
		return nil
	}
	partial, _ := field(answer, fieldPartialSuccess)
	_, spans := field(partial, fieldRejectedSpans)
	message, _ := field(partial, fieldErrorMessage)
	if spans == 0 { // a message without rejected spans is a remark
		return nil
	}
	return fmt.Errorf("the receiver has rejected %d spans: %s", spans, strings.ToValidUTF8(string(message), ""))
}

// field returns the value of a field of an encoded message: bytes or a number.
func field(message []byte, number protowire.Number) (data []byte, value uint64) {
	for len(message) > 0 {
		got, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, 0
		}
		message = message[n:]
		switch {
		case got == number && kind == protowire.BytesType:
			data, n = protowire.ConsumeBytes(message)
		case got == number && kind == protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		default:
			n = protowire.ConsumeFieldValue(got, kind, message)
		}
		if n < 0 {
			return nil, 0
		}
		message = message[n:]
	}
	return data, value
}
