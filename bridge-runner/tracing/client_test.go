// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestNewClient_InvalidEnvironment_ErrorNamesVariableAndRemedy(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT: \"collector:4318\" is not the URL"},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=1,secret", "OTEL_EXPORTER_OTLP_TRACES_HEADERS: entry 2"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "OTEL_EXPORTER_OTLP_TIMEOUT: \"10s\""},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "set it to gzip or none"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "set it to http/protobuf"},
	} {
		t.Run(c.name+" "+c.want, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			_, err := newClient("")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}

// A batch is sent when the files are usable, so that a certificate may also be issued after the start.
func TestUpload_UnusableFiles_ErrorNamesVariableAndRemedy(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.crt")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, want string }{
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", empty, empty + " is empty; put the certificate there, in PEM form"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", empty + "x", "no such file or directory; set it to a file"},
		{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", empty, "only one of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY is set"},
	} {
		t.Run(c.name+" "+c.want, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			uploader, err := newClient("https://127.0.0.1:1")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if err := uploader.UploadTraces(ctx, nil); err == nil || !strings.Contains(err.Error(), c.name) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}

func TestReceiverURL_ManifestAndEnvironment_FollowTheSpecification(t *testing.T) {
	for _, c := range []struct{ endpoint, base, traces, want string }{
		{"", "", "", "http://localhost:4318/v1/traces"},
		{"", "https://a.example/x/", "", "https://a.example/x/v1/traces"},
		{"", "https://a.example", "http://b.example", "http://b.example/"},
		{"", "https://a.example", "http://b.example/own", "http://b.example/own"},
		{"http://c.example:4318", "https://a.example", "http://b.example", "http://c.example:4318/v1/traces"},
		{"http://c.example:4318/x/", "", "", "http://c.example:4318/x/v1/traces"},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.base)
		t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.traces)
		if got, err := receiverURL(c.endpoint); err != nil || got != c.want {
			t.Errorf("%+v: the URL is %q, %v", c, got, err)
		}
	}
}

func TestUpload_ReceiverNotReady_SendsTheBatchAgain(t *testing.T) {
	requests := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		if requests == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	c, err := newClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.UploadTraces(t.Context(), nil); err != nil || requests != 2 {
		t.Errorf("%d requests, %v", requests, err)
	}
	requests = 0
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.UploadTraces(ctx, nil); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("the error is %v", err)
	}
}

func TestUpload_PartialSuccess_IsAnErrorWithTheReceiversReason(t *testing.T) {
	for spans, want := range map[int64]string{0: "", 3: "rejected 3 spans: too old"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: spans, ErrorMessage: "too old"}})
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write(answer)
		}))
		c, err := newClient(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		err = c.UploadTraces(t.Context(), nil)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d spans: the error is %v, want %q", spans, err, want)
		}
		s.Close()
	}
}
