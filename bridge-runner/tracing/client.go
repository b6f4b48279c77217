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
	"math/rand/v2"
	"mime"
	"net/http"
	neturl "net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// client sends spans by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp). It
// implements otlptrace.Client: the library encodes the spans. The library's own client, otlptracehttp,
// links gRPC, which makes the runner larger than all other parts of tracing together.
type client struct {
	url     string
	headers http.Header
	gzip    bool
	// timeout bounds a request.
	timeout time.Duration
	// secrets has the secrets of the requests. A receiver may repeat them in its answers.
	secrets transport.Config

	mu sync.Mutex // guards the fields below
	// http has the connection to the receiver. It is nil before the first request.
	http *http.Client
	// security is the content of the files that http uses.
	security security
}

const (
	// firstRetry and lastRetry bound the pause before a request is sent again. jitter shortens it.
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
	// maxRetryAfter is the longest pause that a receiver can ask for.
	maxRetryAfter = time.Hour
	// maxAnswer is the largest part of an answer that is read, and maxHeader the largest size of its header, in bytes.
	maxAnswer = 4096
	maxHeader = 16 << 10
)

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	return nil
}

// connection returns the client of HTTP with the present certificates. It reads their files for each request, as the
// sessions do for each connection, so that renewed certificates have effect without a restart.
func (c *client) connection() (*http.Client, error) {
	present, err := readSecurity()
	if err != nil {
		// The files may be about to be replaced, one after the other.
		return nil, &retryError{reason: err.Error()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil && present.equal(c.security) {
		return c.http, nil
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	c.http, c.security = present.connector(c.timeout), present
	return c.http, nil
}

// UploadTraces implements otlptrace.Client. It sends a batch again until the context ends, if the
// receiver asks for that, or closes the connection without an answer.
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
		case <-time.After(max(jitter(pause), later.after)):
		case <-ctx.Done():
			return err
		}
	}
}

// jitter returns a random pause from the half of a pause to the pause, so that many runners do not
// send at the same time.
func jitter(pause time.Duration) time.Duration {
	return pause/2 + rand.N(pause/2+1) //nolint:gosec // a pause needs no secret
}

// retryError is the reason to send a request again.
type retryError struct {
	reason string
	// after is the shortest pause before that.
	after time.Duration
}

func (e *retryError) Error() string { return e.reason }

// retryAfter returns the pause that a header Retry-After asks for: a number of seconds, or a time. It
// is 0 if the header is invalid.
func retryAfter(header string, now time.Time) time.Duration {
	pause := time.Duration(0)
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		pause = time.Duration(seconds) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		pause = maxRetryAfter
	} else if at, err := http.ParseTime(header); err == nil {
		pause = at.Sub(now)
	}
	return min(max(pause, 0), maxRetryAfter)
}

// withoutURL returns an error of a request without the URL, whose query may contain a secret, and with
// the secrets masked, because it may quote the answer. The host names the receiver.
func (c *client) withoutURL(err error) error {
	var e *neturl.Error
	if !errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("sending to %s: %s", c.host(), shorten(c.secrets.Mask(e.Err.Error())))
}

// host returns the host and the port of the receiver.
func (c *client) host() string {
	u, err := neturl.Parse(c.url)
	if err != nil {
		return ""
	}
	return u.Host
}

// post sends one request.
func (c *client) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return c.withoutURL(err)
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
	connection, err := c.connection()
	if err != nil {
		return err
	}
	response, err := connection.Do(request)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) { // the receiver may have restarted
		return &retryError{reason: c.withoutURL(err).Error()}
	} else if err != nil {
		return c.withoutURL(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	status := shorten(c.secrets.Mask(response.Status))
	switch {
	case response.StatusCode/100 == 2 && err == nil:
		return c.rejected(answer, response.Header.Get("Content-Type"))
	case response.StatusCode/100 == 2:
		return err
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &retryError{"the receiver is not ready: " + status, retryAfter(response.Header.Get("Retry-After"), time.Now())}
	}
	if to := response.Header.Get("Location"); response.StatusCode/100 == 3 && to != "" {
		return fmt.Errorf("the receiver answers %s to %s, and the runner follows no redirects; set the endpoint to the new address", status, shorten(c.secrets.Mask(v1alpha1.PublicURL(to))))
	}
	return fmt.Errorf("the receiver answers %s: %s", status, c.secrets.Mask(strings.TrimSpace(strings.ToValidUTF8(string(answer), ""))))
}

// The fields of ExportTraceServiceResponse and of its partial success.
const (
	fieldPartialSuccess = 1
	fieldRejectedSpans  = 1
	fieldErrorMessage   = 2
)

// rejected returns an error if an answer says that the receiver has rejected some of the spans.
func (c *client) rejected(answer []byte, contentType string) error {
	if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "application/x-protobuf" {
		return nil
	}
	partial, _ := field(answer, fieldPartialSuccess)
	_, spans := field(partial, fieldRejectedSpans)
	message, _ := field(partial, fieldErrorMessage)
	if spans == 0 { // a message without rejected spans is a remark
		return nil
	}
	return &rejectedError{spans, c.secrets.Mask(strings.ToValidUTF8(string(message), ""))}
}

// rejectedError reports that the receiver has accepted a batch without some of its spans.
type rejectedError struct {
	spans   uint64
	message string
}

func (e *rejectedError) Error() string {
	return fmt.Sprintf("the receiver has rejected %s: %s", count.Of(e.spans, "span"), e.message)
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
