// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// upload sends one empty batch to a receiver that answers by a function.
func upload(t *testing.T, answer http.HandlerFunc) error {
	t.Helper()
	s := httptest.NewServer(answer)
	defer s.Close()
	c, err := newClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c.UploadTraces(t.Context(), nil)
}

func TestUpload_Redirect_IsAnErrorAndHeadersStayHere(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=secret")
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		leaked := false
		other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			leaked = r.Header.Get("X-Api-Key") != ""
		}))
		err := upload(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		if err == nil || !strings.Contains(err.Error(), other.URL) || leaked {
			t.Errorf("status %d: the error is %v, want the new address %s; the other server gets the headers: %t", status, err, other.URL, leaked)
		}
		other.Close()
	}
}

func TestUpload_LongTextOfReceiver_ErrorIsShort(t *testing.T) {
	for _, size := range []int{10_000, 500_000} {
		long := strings.Repeat("x", size)
		for name, answer := range map[string]string{
			"the status":   "HTTP/1.1 500 " + long + "\r\nContent-Length: 0\r\n\r\n",
			"the redirect": "HTTP/1.1 302 Found\r\nLocation: http://h.example/" + long + "\r\nContent-Length: 0\r\n\r\n",
			"the body":     "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n" + long,
		} {
			err := upload(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, answer)
			})
			if err == nil || len(err.Error()) > maxAnswer+1000 {
				t.Errorf("%s with %d bytes: the error has %d bytes: %.100v", name, size, len(fmt.Sprint(err)), err)
			}
		}
	}
}

func TestUpload_ReceiverClosesConnection_SendsTheBatchAgain(t *testing.T) {
	requests := 0
	err := upload(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		if requests > 1 {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	})
	if err != nil || requests != 2 {
		t.Errorf("%d requests, %v; want 2 and success", requests, err)
	}
}

func TestUpload_PartialSuccessWithParameterOfContentType_IsRead(t *testing.T) {
	err := upload(t, func(w http.ResponseWriter, _ *http.Request) {
		answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: "full"}})
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf; charset=utf-8")
		_, _ = w.Write(answer)
	})
	if err == nil || !strings.Contains(err.Error(), "rejected 2 spans: full") {
		t.Errorf("the error is %v", err)
	}
}

func TestRetryPause_Answers_FollowTheSpecification(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"9223372036854775807":           maxRetryAfter,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
		"soon":                          0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("Retry-After %q: the pause is %s, want %s", header, got, want)
		}
	}
	for pause := firstRetry; pause <= lastRetry; pause *= 2 {
		if got := jitter(pause); got < pause/2 || got > pause {
			t.Errorf("the pause %s becomes %s", pause, got)
		}
	}
}

func TestNewClient_SecretInEnvironment_IsInNoError(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://user:secret@collector:4317"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@collector:x"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector:4317/?token=secret"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318?token=secret"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "api key=secret"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "=secret"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0D%0Ab: c"},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
		t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "")
		t.Setenv(c.name, c.value)
		_, err := newClient("")
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s=%s: the error is %v", c.name, c.value, err)
		}
	}
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/own?key=secret")
	c, err := newClient("")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.post(t.Context(), nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error of a request is %v", err)
	}
}

// A receiver, or a gateway in front of it, may repeat the secret that it refuses.
func TestUpload_ReceiverRepeatsASecret_IsMasked(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t0ken-of-plant,x-api-key=k3y-of-plant")
	const repeated = "unknown t0ken-of-plant, k3y-of-plant, qu3ry-of-plant and p4ss-of-plant"
	for name, answer := range map[string]http.HandlerFunc{
		"a refusal": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, repeated, http.StatusUnauthorized) },
		"a redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://plant:p4ss-of-plant@other.example/k3y-of-plant?token=qu3ry-of-plant")
			w.WriteHeader(http.StatusFound)
		},
		"a partial success": func(w http.ResponseWriter, _ *http.Request) {
			answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: repeated}})
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write(answer)
		},
		"a status line": func(w http.ResponseWriter, _ *http.Request) { rawAnswer(t, w, "HTTP/1.1 400 "+repeated+"\r\n\r\n") },
		"no HTTP":       func(w http.ResponseWriter, _ *http.Request) { rawAnswer(t, w, repeated+"\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(answer)
			defer s.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", strings.Replace(s.URL, "http://", "http://plant:p4ss-of-plant@", 1)+"/own?token=qu3ry-of-plant")
			c, err := newClient("")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.UploadTraces(t.Context(), nil); err == nil || strings.Contains(err.Error(), "-of-plant") || !strings.Contains(err.Error(), "...") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// rawAnswer ends the connection of a request with an answer of these bytes.
func rawAnswer(t *testing.T, w http.ResponseWriter, bytes string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = conn.Write([]byte(bytes))
	_ = conn.Close()
}

// The variables hold paths. A user may set them to the content of the file.
func TestReadSecurity_PEMInTheEnvironment_IsInNoError(t *testing.T) {
	const content = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"
	for _, name := range []string{"OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "other.crt")
			t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", "other.key")
			t.Setenv(name, content)
			_, err := readSecurity()
			if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), name+" holds PEM") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestQueueSize_HugeValue_IsBounded(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "9000000000000000000")
	if got := queueSize(); got != maxQueue {
		t.Errorf("the queue has room for %d spans, want %d", got, maxQueue)
	}
}

func TestExtract_ManyOrLongTraceStates_KeepsNoMoreThanIsValid(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	user := packet.UserProperties("").With(packet.UserProperty{Name: propertyParent, Value: parent})
	one := packet.UserProperties("").With(packet.UserProperty{Name: propertyState, Value: "a=" + strings.Repeat("x", 200)})
	user += packet.UserProperties(strings.Repeat(string(one), 50_000)) // 11 MB
	begin := time.Now()
	c := extract(&packet.Properties{User: user})
	if took := time.Since(begin); took > time.Second {
		t.Errorf("reading the trace context takes %s", took)
	}
	if len(c.state) > maxState || c.context().TraceState().Len() != 0 || !c.context().IsValid() {
		t.Errorf("%d bytes of trace state are kept; the context is %+v", len(c.state), c.context())
	}
}

func TestExport_PartialSuccess_CountsOnlyTheRejectedSpans(t *testing.T) {
	w := newWorld(t)
	s := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		body, err := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 1}})
		if err != nil {
			t.Error(err)
		}
		answer.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = answer.Write(body)
	}))
	defer s.Close()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "600000") // one batch, at the end
	w.bridge.Apply(&Settings{Endpoint: s.URL, PerMillion: million})
	for range 3 {
		w.forward("up/t", nil)
	}
	w.process.Shutdown(eventTimeout)
	w.counted(2, 0, 1)
}

// The spans of messages that wait, and the spans that wait for the export, have together a bound in bytes. The
// batch that is being sent, here all waiting spans, is also in memory as objects of protobuf and as bytes.
func TestStart_LargeTextsEverywhere_UsesBoundedMemory(t *testing.T) {
	const (
		spans = 256
		most  = (2 + 2) * spans * bytesPerSpan
	)
	w := newWorld(t, "OTEL_BSP_MAX_QUEUE_SIZE", fmt.Sprint(spans))
	s := w.settings()
	s.Topics = true
	w.bridge.Apply(s)
	w.receiver.Hang(true)
	d := w.bridge.Direction("localToRemote")
	long := rule(t, strings.Repeat("x/", 250)+"#", "")
	why := errors.New(strings.Repeat("refused ", 8000))
	state := "a=" + strings.Repeat("x", 250)
	for i := range 31 {
		state += fmt.Sprintf(",k%d=%s", i, strings.Repeat("x", 250))
	}
	before := heap()
	for range 2 { // of the first ones, some are open spans, and of the second ones, some wait for the export
		var open []delivery.Span
		for i := range 4 * spans {
			received := strings.Repeat(fmt.Sprint(i%10), 65_000) // the topic is a part of the packet
			p := properties(propertyParent, sampled)
			if i%2 == 0 {
				p = properties(propertyParent, sampled, propertyState, state)
			}
			in, m := message(received[:60_000], p)
			span := d.Start(long, in, m)
			if span == nil {
				continue
			}
			for range 200 {
				span.Refused("primary", why)
			}
			open = append(open, span)
		}
		if len(open) < spans/10 {
			t.Errorf("%d messages are traced", len(open))
		}
		if used := heap() - before; used > most {
			t.Errorf("open spans, waiting spans and the encoded batch use %d KiB, more than %d KiB", used>>10, most>>10)
		}
		for _, span := range open {
			span.End(delivery.Outcome{Result: delivery.ResultDelivered, Server: "primary"})
		}
	}
	if w.process.TooManyOpen.Load() == 0 {
		t.Error("no message is counted for which there was no room")
	}
	w.receiver.Hang(false)
	exported := w.receiver.Wait("", 1, eventTimeout)[0]
	if n := len(exported.Attributes["messaging.destination.name"]); n != maxText {
		t.Errorf("the topic of a span has %d bytes, want %d", n, maxText)
	}
	eventually(t, func() error {
		e := w.bridge.tracer().exporter
		if open := e.open; open.spans.Load() != 0 || open.bytes.Load() != 0 {
			return fmt.Errorf("%d spans with %d bytes are open", open.spans.Load(), open.bytes.Load())
		}
		return nil
	})
}

// heap returns the size of the objects that are in use, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // finalizers and pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The span of a long outage keeps its end, and says how much it leaves out.
func TestSide_ManyFailedAttempts_KeepsTheEnd(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	s := w.bridge.Observer("remote", []string{"primary"}, &calls{})
	at := time.Now()
	s.Connected(0, at)
	s.Lost(0, refusedConnection, 0, at)
	const attempts = maxEvents + 40
	for range attempts {
		s.Failed(0, refusedConnection, at)
	}
	s.Connected(0, at)
	got := w.receiver.Wait("switch remote", 1, eventTimeout)[0]
	if n := len(got.Events); n != maxEvents+1 || got.Events[n-1].Name != "connected" || got.Attributes["mqttbridge.events_left_out"] != "40" {
		t.Errorf("%d events, the last one %s, left out: %s", n, got.Events[n-1].Name, got.Attributes["mqttbridge.events_left_out"])
	}
}
