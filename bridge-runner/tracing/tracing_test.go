// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/otlptest"
)

func TestStart_SampledParent_ContinuesTrace(t *testing.T) {
	w := newWorld(t)
	s := w.settings()
	s.PerMillion = 0 // the sender has decided
	w.bridge.Apply(s)
	m := w.forward("up/x", properties("a", "1", propertyParent, sampled, propertyState, "x=1", "b", "2"))
	got := w.receiver.Wait("forward up/#", 1, eventTimeout)[0]
	if got.TraceID != traceID || got.ParentID != spanID || got.TraceState != "x=1" || got.Kind != "producer" || got.Error {
		t.Errorf("the span is %+v", got)
	}
	want := []string{"a", "1", propertyState, "x=1", "b", "2", propertyParent, "00-" + traceID + "-" + got.SpanID + "-01"}
	if all := list(m.Properties); strings.Join(all, " ") != strings.Join(want, " ") {
		t.Errorf("the message has %q, want %q", all, want)
	}
	if got.EventNames() != "written, acknowledged" {
		t.Errorf("the events are %s", got.EventNames())
	}
	for key, value := range map[string]string{
		"messaging.system": "mqtt", "messaging.operation.name": "forward", "messaging.operation.type": "send",
		"messaging.destination.template": "up/#", "messaging.destination.name": "", "messaging.message.body.size": "5",
		"mqttbridge.namespace": "plants", "mqttbridge.bridge": "plant1", "mqttbridge.direction": "localToRemote", "mqttbridge.rule": "up/#",
		"mqttbridge.qos": "1", "mqttbridge.server": "primary", "mqttbridge.outcome": "delivered",
	} {
		if got.Attributes[key] != value {
			t.Errorf("%s is %q, want %q", key, got.Attributes[key], value)
		}
	}
	if got.Resource["service.name"] != serviceName || got.Resource["service.version"] == "" || got.Resource["telemetry.sdk.language"] != "go" {
		t.Errorf("the resource is %v", got.Resource)
	}
	w.counted(1, 0, 0)
}

func TestStart_ParentThatIsNotSampled_LeavesMessageUnchanged(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	p := properties(propertyParent, "00-"+traceID+"-"+spanID+"-00", "a", "1")
	in, m := message("up/x", p)
	if s := w.bridge.Direction("localToRemote").Start(rule(t, "up/#", ""), in, m); s != nil {
		t.Error("the message is sampled")
	}
	if m.Properties != p {
		t.Errorf("the message has the properties %+v", m.Properties)
	}
}

func TestStart_NoParent_BeginsTracesAtTheRate(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ perMillion, low, high int }{{0, 0, 0}, {million / 2, 400, 600}, {million, 1000, 1000}} {
		s := w.settings()
		s.PerMillion = uint32(c.perMillion)
		w.bridge.Apply(s)
		d, n := w.bridge.Direction("localToRemote"), 0
		for range 1000 {
			in, m := message("up/x", nil)
			if span := d.Start(rule(t, "up/#", ""), in, m); span != nil {
				span.End(delivery.Outcome{Result: delivery.ResultLeft})
				n++
			}
		}
		if n < c.low || n > c.high {
			t.Errorf("%d of 1000 messages are sampled at %d per million", n, c.perMillion)
		}
	}
}

func TestStart_SamplerOfEnvironment_Decides(t *testing.T) {
	for sampler, want := range map[string][3]bool{ // of a sampled parent, another parent, no parent
		"always_on": {true, true, true}, "always_off": {}, "parentbased_always_off": {true, false, false}, "parentbased_always_on": {true, false, true},
	} {
		t.Run(sampler, func(t *testing.T) {
			w := newWorld(t, "OTEL_TRACES_SAMPLER", sampler)
			s := w.settings()
			s.ByEnvironment = true
			w.bridge.Apply(s)
			for i, parent := range []string{sampled, "00-" + traceID + "-" + spanID + "-00", "none"} {
				in, m := message("up/x", properties(propertyParent, parent))
				span := w.bridge.Direction("localToRemote").Start(rule(t, "up/#", ""), in, m)
				if (span != nil) != want[i] {
					t.Errorf("parent %s: sampled is %v, want %v", parent, span != nil, want[i])
				}
				if span != nil {
					span.End(delivery.Outcome{Result: delivery.ResultLeft})
				}
			}
		})
	}
}

func TestStart_Topics_AreRecordedOnRequestOnly(t *testing.T) {
	w := newWorld(t)
	s := w.settings()
	s.Topics = true
	w.bridge.Apply(s)
	w.forward("up/device/7", nil)
	got := w.receiver.Wait("forward up/#", 1, eventTimeout)[0]
	if name := got.Attributes["messaging.destination.name"]; name != "up/device/7" || got.ParentID != "" {
		t.Errorf("messaging.destination.name is %q, the parent %q", name, got.ParentID)
	}
}

func TestStart_RuleThatChangesTheTopic_NamesItsTemplate(t *testing.T) {
	for _, c := range [][3]string{{"up/+/#", "", "up/+/#"}, {"up/+/#", "${topic}", "up/+/#"}, {"up/+/#", "x/${2}/${1}", "x/${2}/${1}"}, {"up", "fixed", "fixed"}} {
		if got := destinationTemplate(rule(t, c[0], c[1])); got != c[2] {
			t.Errorf("filter %q, topic %q: the template is %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestContinue_MessageFromDisk_ContinuesTraceOfItsFirstSpan(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	m := w.forward("up/x", nil)
	first := w.receiver.Wait("forward up/#", 1, eventTimeout)[0]
	d := w.bridge.Direction("localToRemote")
	again := *m
	d.Continue(&again).End(delivery.Outcome{Result: delivery.ResultDropped, Cause: delivery.DropExpired})
	second := w.receiver.Wait("forward", 1, eventTimeout)[0]
	if second.TraceID != first.TraceID || second.ParentID != first.SpanID || second.Attributes["mqttbridge.buffered"] != "true" {
		t.Errorf("the first span is %+v, the second %+v", first, second)
	}
	if !second.Error || second.Description != delivery.DropExpired || second.Attributes["error.type"] != delivery.DropExpired {
		t.Errorf("the second span is %+v", second)
	}
	for _, p := range [][]string{nil, {"a", "1"}, {propertyParent, "00-" + traceID + "-" + spanID + "-00"}} {
		if s := d.Continue(&session.Message{Topic: "up/x", Properties: properties(p...)}); s != nil {
			t.Errorf("a message with the properties %q is sampled", p)
		}
	}
}

func TestEnd_MessageRefused_HasErrorAndReason(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	in, m := message("up/x", nil)
	s := w.bridge.Direction("localToRemote").Start(rule(t, "up/#", ""), in, m)
	s.Refused("primary", errors.New("quota exceeded"))
	s.End(delivery.Outcome{Result: delivery.ResultDeadLetter, Cause: delivery.DropTooLarge, Err: diagnosis.MessageTooLarge})
	got := w.receiver.Wait("", 1, eventTimeout)[0]
	if !got.Error || !strings.HasPrefix(got.Description, "too_large: the message is larger") || got.Attributes["error.type"] != "too_large" ||
		got.Attributes["mqttbridge.outcome"] != "dead_letter" || got.EventNames() != "refused" || got.Events[0].Attributes["mqttbridge.message"] != "quota exceeded" {
		t.Errorf("the span is %+v", got)
	}
}

func TestExport_ReceiverCannotBeReached_CountsLossesAndLogsOnce(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	w.receiver.Stop()
	for n := range 5 {
		w.forward("up/x", nil)
		w.counted(0, 0, uint64(n+1))
	}
	w.receiver.Listen()
	w.forward("up/x", nil)
	w.counted(1, 0, 5)
	if failed, again := w.log.count("spans cannot be exported"), w.log.count("spans are exported again"); failed != 1 || again != 1 {
		t.Errorf("%d lines about the failure and %d about its end", failed, again)
	}
}

func TestExport_ReceiverRefuses_CountsLosses(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	w.receiver.Answer(http.StatusUnauthorized)
	w.forward("up/x", nil)
	w.counted(0, 0, 1)
	w.receiver.Answer(http.StatusOK)
	w.forward("up/x", nil)
	w.counted(1, 0, 1)
}

func TestStart_ManyOpenSpans_LeavesFurtherMessagesUnchanged(t *testing.T) {
	const limit = 4
	w := newWorld(t, "OTEL_BSP_MAX_QUEUE_SIZE", fmt.Sprint(limit))
	w.bridge.Apply(w.settings())
	d := w.bridge.Direction("localToRemote")
	var open []delivery.Span
	start := func() (*session.Message, bool) {
		in, m := message("up/x", properties(propertyParent, sampled))
		s := d.Start(rule(t, "up/#", ""), in, m)
		if s != nil {
			open = append(open, s)
		}
		return m, s != nil
	}
	for range limit {
		if _, traced := start(); !traced {
			t.Error("a message is not traced")
		}
	}
	if m, traced := start(); traced || list(m.Properties)[1] != sampled {
		t.Errorf("one more message is traced: %v, its properties are %q", traced, list(m.Properties))
	}
	if n := w.process.TooManyOpen.Load(); n != 1 {
		t.Errorf("%d messages are counted", n)
	}
	open[0].End(delivery.Outcome{Result: delivery.ResultStored})
	if _, traced := start(); !traced {
		t.Error("a message is not traced after the end of another one")
	}
}

func TestExport_ReceiverHangs_DropsSpansAndDoesNotBlock(t *testing.T) {
	const size = 8
	w := newWorld(t, "OTEL_BSP_MAX_QUEUE_SIZE", fmt.Sprint(size))
	w.bridge.Apply(w.settings())
	w.receiver.Hang(true)
	began := time.Now()
	for range 100 {
		w.forward("up/x", nil)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("100 spans took %s", took)
	}
	w.counted(0, 100-size, 0)
	w.receiver.Hang(false)
	w.counted(size, 100-size, 0)
	w.forward("up/x", nil)
	w.counted(size+1, 100-size, 0)
}

func TestShutdown_ReceiverHangs_EndsInTime(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	w.receiver.Hang(true)
	w.forward("up/x", nil)
	began := time.Now()
	w.process.Shutdown(100 * time.Millisecond)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the end took %s", took)
	}
}

func TestShutdown_SpansThatHaveEnded_AreExported(t *testing.T) {
	w := newWorld(t, "OTEL_BSP_SCHEDULE_DELAY", "60000")
	w.bridge.Apply(w.settings())
	w.forward("up/x", nil)
	w.process.Shutdown(eventTimeout)
	w.counted(1, 0, 0)
}

func TestApply_Changes_UseOneExporterForEachEndpoint(t *testing.T) {
	w := newWorld(t)
	before := runtime.NumGoroutine()
	if w.bridge.Direction("localToRemote") != nil || runtime.NumGoroutine() != before {
		t.Error("tracing is on before Apply")
	}
	other := w.process.Bridge("plants", "plant2")
	w.bridge.Apply(w.settings())
	other.Apply(w.settings())
	if w.bridge.tracer().exporter != other.tracer().exporter {
		t.Error("two bridges with the same endpoint have two exporters")
	}
	second := otlptest.Start(t)
	changed := w.settings()
	changed.Endpoint = second.URL()
	w.bridge.Apply(changed)
	w.forward("up/x", nil)
	second.Wait("forward up/#", 1, eventTimeout)
	if got := w.receiver.Spans(""); len(got) != 0 {
		t.Errorf("the first receiver has %d spans", len(got))
	}
	w.bridge.Apply(nil)
	other.Apply(nil)
	if w.bridge.Direction("localToRemote") != nil {
		t.Error("tracing is on after Apply(nil)")
	}
	eventually(t, func() error {
		w.process.mu.Lock()
		defer w.process.mu.Unlock()
		if n := len(w.process.exporters); n != 0 {
			return fmt.Errorf("%d exporters are left", n)
		}
		return nil
	})
}

func TestApply_DisabledByEnvironment_StaysOff(t *testing.T) {
	w := newWorld(t, "OTEL_SDK_DISABLED", "true")
	w.bridge.Apply(w.settings())
	if w.bridge.Direction("localToRemote") != nil {
		t.Error("tracing is on")
	}
}

func TestEndpoint_ManifestAndEnvironment_ManifestHasPrecedence(t *testing.T) {
	w := newWorld(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", w.receiver.URL()+"/base")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	t.Setenv("OTEL_SERVICE_NAME", "edge")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "site=plant1")
	for endpoint, path := range map[string]string{"": "/base/v1/traces", w.receiver.URL() + "/own/": "/own/v1/traces", w.receiver.URL(): "/v1/traces"} {
		w.bridge.Apply(&Settings{Endpoint: endpoint, PerMillion: million})
		before := len(w.receiver.Spans(""))
		w.forward("up/x", nil)
		got := w.receiver.Wait("", before+1, eventTimeout)[before]
		gotPath, headers := w.receiver.LatestRequest()
		if gotPath != path || headers.Get("Authorization") != "Bearer secret" || headers.Get("Content-Encoding") != "gzip" {
			t.Errorf("endpoint %q: the request is for %s with %v", endpoint, gotPath, headers)
		}
		if got.Resource["service.name"] != "edge" || got.Resource["site"] != "plant1" {
			t.Errorf("the resource is %v", got.Resource)
		}
	}
}

func TestBridge_Nil_IsOff(t *testing.T) {
	var p *Process
	b := p.Bridge("plants", "plant1")
	b.Apply(&Settings{})
	if b.Direction("localToRemote") != nil {
		t.Error("tracing is on")
	}
}
