// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/otlptest"
)

const (
	senderTrace = "0af7651916cd43dd8448eb211c80319c"
	senderSpan  = "b7ad6b7169203331"
)

// traceparent returns the trace context of a sender.
func traceparent(flags string) string { return "00-" + senderTrace + "-" + senderSpan + "-" + flags }

// traced makes a bridge send its spans to a receiver. perMillion is the rate for messages without a
// trace context.
func traced(b *v1alpha1.MQTTBridge, to *otlptest.Receiver, perMillion int32) *v1alpha1.MQTTBridge {
	b.Spec.Tracing = &v1alpha1.Tracing{Endpoint: to.URL(), SamplingRatePerMillion: &perMillion}
	return b
}

// startTraced starts a runner that exports spans soon after their end. env are further environment
// variables.
func startTraced(t *testing.T, b *v1alpha1.MQTTBridge, env ...string) *mqtttest.Runner {
	t.Helper()
	r := mqtttest.NewRunner(t, b)
	r.SetEnv(append(env, "OTEL_BSP_SCHEDULE_DELAY=20")...)
	r.Start()
	r.WaitActive("primary", eventTimeout)
	return r
}

// withContext returns a message with user properties, among them a trace context.
func withContext(topic, parent string) *paho.Publish {
	return &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("21.5"), Properties: &paho.PublishProperties{User: paho.UserProperties{
		{Key: "z", Value: "1"}, {Key: "traceparent", Value: parent}, {Key: "a", Value: ""}, {Key: "tracestate", Value: "congo=t61,rojo=00f0"}, {Key: "z", Value: "1"},
	}}}
}

func TestTracing_OffOrNotSampled_UserPropertiesAreUnchanged(t *testing.T) {
	t.Parallel()
	receiver := otlptest.Start(t)
	for name, b := range map[string]func(*v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge{
		"off":         func(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge { return b },
		"not sampled": func(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge { return traced(b, receiver, 1_000_000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			startTraced(t, b(speaking(manifest("plain", p.local.URL(), p.remote.URL()), v5, v5)))
			for qos := range byte(3) {
				sent := withContext(fmt.Sprint("up/", qos), traceparent("00"))
				sent.QoS = qos
				p.here.Publish(sent)
				if got := p.there.Wait(sent.Topic, 1, eventTimeout)[0]; !slices.Equal(got.Properties.User, sent.Properties.User) {
					t.Errorf("QoS %d: %v arrived, want %v", qos, got.Properties.User, sent.Properties.User)
				}
			}
		})
	}
	t.Cleanup(func() {
		if got := receiver.Spans(""); len(got) != 0 {
			t.Errorf("%d spans were exported", len(got))
		}
	})
}

func TestTracing_SampledMessage_SpanIsTheParentOfTheForwardedMessage(t *testing.T) {
	t.Parallel()
	receiver, p := otlptest.Start(t), newPair(t)
	b := traced(speaking(manifest("traced", p.local.URL(), p.remote.URL()), v5, v5), receiver, 0)
	b.Spec.LocalToRemote[0].Name = "upward"
	r := startTraced(t, b)
	for qos := range byte(3) {
		sent := withContext(fmt.Sprint("up/", qos), traceparent("01"))
		sent.QoS = qos
		p.here.Publish(sent)
		got := p.there.Wait(sent.Topic, 1, eventTimeout)[0]
		span := receiver.Wait("forward up/#", int(qos)+1, eventTimeout)[qos]
		want := paho.UserProperties{
			{Key: "z", Value: "1"},
			{Key: "a", Value: ""},
			{Key: "tracestate", Value: "congo=t61,rojo=00f0"},
			{Key: "z", Value: "1"},
			{Key: "traceparent", Value: "00-" + senderTrace + "-" + span.SpanID + "-01"},
		}
		if !slices.Equal(got.Properties.User, want) {
			t.Errorf("QoS %d: %v arrived, want %v", qos, got.Properties.User, want)
		}
		if span.TraceID != senderTrace || span.ParentID != senderSpan || span.TraceState != "congo=t61,rojo=00f0" || span.Kind != "producer" || span.Error || !span.End.After(span.Start) {
			t.Errorf("QoS %d: the span is %+v", qos, span)
		}
		events := "written, acknowledged"
		if qos == 0 {
			events = "written"
		}
		if span.EventNames() != events {
			t.Errorf("QoS %d: the events are %s, want %s", qos, span.EventNames(), events)
		}
		for key, value := range map[string]string{
			"messaging.system": "mqtt", "messaging.destination.template": "up/#", "mqttbridge.namespace": "test", "mqttbridge.bridge": "traced",
			"mqttbridge.direction": "localToRemote", "mqttbridge.rule": "upward", "mqttbridge.qos": fmt.Sprint(qos), "mqttbridge.source.server": "primary",
			"mqttbridge.server": "primary", "mqttbridge.outcome": "delivered", "messaging.destination.name": "", "messaging.message.body.size": "4",
		} {
			if span.Attributes[key] != value {
				t.Errorf("QoS %d: %s is %q, want %q", qos, key, span.Attributes[key], value)
			}
		}
	}
	p.here.Publish(&paho.Publish{Topic: "up/none", QoS: 1, Payload: []byte("x")}) // the rate is 0
	p.there.Wait("up/none", 1, eventTimeout)
	waitSum(t, r, 3, "mqttbridge_spans_exported_total")
	if n := r.Metrics().Sum("mqttbridge_spans_dropped_total"); n != 0 || len(receiver.Spans("")) != 3 {
		t.Errorf("%v spans were dropped, %d were exported", n, len(receiver.Spans("")))
	}
}

func TestTracing_WithoutContext_SpansAreRoots(t *testing.T) {
	t.Parallel()
	receiver := otlptest.Start(t)
	p := newPair(t)
	b := traced(manifest("roots", p.local.URL(), p.remote.URL()), receiver, 1_000_000) // with either version of MQTT
	b.Spec.Tracing.Topics = v1alpha1.TraceTopicsRecord
	startTraced(t, b)
	p.here.Publish(&paho.Publish{Topic: "up/x", QoS: 1, Payload: []byte("x")})
	got := p.there.Wait("up/x", 1, eventTimeout)[0]
	span := receiver.Wait("forward up/#", 1, eventTimeout)[0]
	if span.ParentID != "" || span.Attributes["messaging.destination.name"] != "up/x" {
		t.Errorf("the span is %+v", span)
	}
	want := ""
	if version == v5 {
		want = "00-" + span.TraceID + "-" + span.SpanID + "-01"
	}
	if parent := got.Properties.User.Get("traceparent"); parent != want {
		t.Errorf("traceparent is %q, want %q", parent, want)
	}
}

func TestTracing_ReceiverDown_BridgeForwardsAndCountsLosses(t *testing.T) {
	t.Parallel()
	receiver, p := otlptest.Start(t), newPair(t)
	receiver.Stop()
	r := startTraced(t, traced(manifest("down", p.local.URL(), p.remote.URL()), receiver, 1_000_000))
	const n = 50
	publish(p.here, n, 100, 1, "up/x")
	p.there.Wait("up/x", n, eventTimeout)
	waitSum(t, r, n, "mqttbridge_spans_dropped_total", "cause=export_failed")
	receiver.Listen()
	publish(p.here, 1, 100, 1, "up/x")
	receiver.Wait("forward up/#", 1, eventTimeout)
	if lines := strings.Count(r.Log(), "spans cannot be exported"); lines != 1 {
		t.Errorf("the log has %d lines about it:\n%s", lines, r.Log())
	}
}

func TestTracing_ReceiverHangs_BridgeForwardsAndEndsInTime(t *testing.T) {
	t.Parallel()
	receiver, p := otlptest.Start(t), newPair(t)
	receiver.Hang(true)
	const size, n = 16, 200
	r := startTraced(t, traced(manifest("hangs", p.local.URL(), p.remote.URL()), receiver, 1_000_000), fmt.Sprint("OTEL_BSP_MAX_QUEUE_SIZE=", size))
	publish(p.here, n, 100, 1, "up/x")
	p.there.Wait("up/x", n, eventTimeout)
	waitSum(t, r, n-size, "mqttbridge_spans_dropped_total")
	if code, took := r.Terminate(); code != 0 || took > 8*time.Second {
		t.Errorf("the runner ended with %d after %s", code, took)
	}
}

// Each message has a span until it is on disk, and another one after it was read from there, also by
// another process.
func TestTracing_BufferOnDisk_KilledRunner_SpansContinueTheTrace(t *testing.T) {
	t.Parallel()
	receiver, p := otlptest.Start(t), newPair(t)
	b := traced(retry(onDisk(speaking(manifest("stored", p.local.URL(), p.remote.URL()), v5, v5), "16Mi", v1alpha1.WhenFullBlock), 50, 1), receiver, 0)
	r := startTraced(t, b)
	p.remote.Stop()
	r.WaitStatus(eventTimeout, "the loss is detected", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote.Active != nil {
			return fmt.Errorf("%s is active", s.Remote.Active.Name)
		}
		return nil
	})
	const n = 20
	for i := range n {
		p.here.Publish(withContext(fmt.Sprint("up/", i), traceparent("01")))
	}
	waitBacklog(t, r, n)
	stored := receiver.Wait("forward up/#", n, eventTimeout)
	r.Kill()
	r.Start()
	p.remote.Start()
	waitSum(t, r, n, "mqttbridge_messages_forwarded_total")
	delivered := receiver.Wait("forward", n, eventTimeout)
	parents := map[string]bool{}
	for _, s := range stored {
		if s.Attributes["mqttbridge.outcome"] != "stored" || s.ParentID != senderSpan {
			t.Errorf("the first span is %+v", s)
		}
		parents[s.SpanID] = true
	}
	for _, s := range delivered {
		if s.Attributes["mqttbridge.outcome"] != "delivered" || s.TraceID != senderTrace || !parents[s.ParentID] {
			t.Errorf("the second span is %+v", s)
		}
		delete(parents, s.ParentID)
	}
	if len(parents) != 0 || len(receiver.Spans("forward")) != n {
		t.Errorf("%d messages have no second span, there are %d", len(parents), len(receiver.Spans("forward")))
	}
}

func TestTracing_ServerKilled_SpanOfSwitchNamesAttemptsAndMessageContinues(t *testing.T) {
	t.Parallel()
	receiver, l := otlptest.Start(t), newLine(t)
	retry(traced(l.manifest, receiver, 1_000_000), 50, 1)
	l.backup.Stop()
	r := startTraced(t, l.manifest)
	here := mqtttest.StartClient5(t, l.local, "here")
	l.primary.Kill()
	waitSum(t, r, 1, "mqttbridge_connection_failures_total", "side=remote", "server=backup-1")
	here.Publish(&paho.Publish{Topic: "up/x", QoS: 1, Payload: []byte("x")})
	l.backup.Start()
	r.WaitActive("backup-1", eventTimeout)
	s := receiver.Wait("switch remote", 1, eventTimeout)[0]
	if s.Attributes["mqttbridge.switch.from"] != "primary" || s.Attributes["mqttbridge.switch.to"] != "backup-1" || !s.Error {
		t.Errorf("the span is %+v", s)
	}
	if !strings.HasPrefix(s.EventNames(), "connection failed, ") || !strings.HasSuffix(s.EventNames(), ", connected") {
		t.Errorf("the events are %s", s.EventNames())
	}
	m := receiver.Wait("forward up/#", 1, eventTimeout)[0]
	if m.Attributes["mqttbridge.server"] != "backup-1" || m.Attributes["mqttbridge.outcome"] != "delivered" {
		t.Errorf("the span of the message is %+v", m)
	}
	l.primary.Start()
	r.Prefer(l.manifest, &l.manifest.Spec.Remote, &v1alpha1.PreferredServer{Name: "primary"})
	r.WaitActive("primary", eventTimeout)
	s = receiver.Wait("switch remote", 2, eventTimeout)[1]
	if s.Attributes["mqttbridge.reason"] != v1alpha1.ReasonSwitchRequested || s.Attributes["mqttbridge.switch.to"] != "primary" || s.Error {
		t.Errorf("the span is %+v", s)
	}
}

func TestTracing_Changed_IsAppliedWithoutNewConnection(t *testing.T) {
	t.Parallel()
	receiver, p := otlptest.Start(t), newPair(t)
	b := manifest("changed", p.local.URL(), p.remote.URL())
	r := startTraced(t, b)
	since := r.WaitActive("primary", eventTimeout).Remote.Active.Since
	applied := func(change func()) {
		change()
		r.Update(b)
		r.WaitStatus(eventTimeout, "the change is applied", func(s v1alpha1.MQTTBridgeStatus) error {
			if s.Runners[0].Generation != b.Generation || !s.Remote.Active.Since.Equal(&since) {
				return fmt.Errorf("generation %d, connected since %s", s.Runners[0].Generation, s.Remote.Active.Since)
			}
			return nil
		})
		before := len(p.there.Received("up/x"))
		p.here.Publish(&paho.Publish{Topic: "up/x", QoS: 1, Payload: []byte("x")})
		p.there.Wait("up/x", before+1, eventTimeout)
	}
	applied(func() { traced(b, receiver, 1_000_000) })
	receiver.Wait("forward up/#", 1, eventTimeout)
	applied(func() { b.Spec.Tracing.SamplingRatePerMillion = ptr.To[int32](0) })
	applied(func() { b.Spec.Tracing.SamplingRatePerMillion = ptr.To[int32](1_000_000) })
	receiver.Wait("forward up/#", 2, eventTimeout)
	applied(func() { b.Spec.Tracing = nil })
	applied(func() { traced(b, receiver, 1_000_000) })
	if got := receiver.Wait("forward up/#", 3, eventTimeout); len(got) != 3 {
		t.Errorf("%d spans were exported, want 3", len(got))
	}
}

func TestTracing_Host_SpansNameTheirBridge(t *testing.T) {
	t.Parallel()
	receiver, s := otlptest.Start(t), newSite(t)
	h := mqtttest.NewHost(t)
	for _, name := range []string{"one", "two"} {
		h.Put(traced(s.bridge(name), receiver, 1_000_000))
	}
	h.SetEnv("OTEL_BSP_SCHEDULE_DELAY=20")
	h.Start()
	bridges := map[string]bool{}
	for _, name := range []string{"one", "two"} {
		h.WaitConnected(name+".yaml", eventTimeout)
		s.send(name + "/x")
	}
	for _, span := range receiver.Wait("", 2, eventTimeout) {
		bridges[span.Attributes["mqttbridge.bridge"]] = true
	}
	if len(bridges) != 2 {
		t.Errorf("spans of the bridges %v were exported", bridges)
	}
	waitSum(t, h.Runner, 2, "mqttbridge_spans_exported_total")
}
