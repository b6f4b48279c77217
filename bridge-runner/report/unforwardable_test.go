// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
)

// unforwardableWorld is the meter of localToRemote with its status, metrics and log.
type unforwardableWorld struct {
	st      *State
	metrics *Metrics
	meter   delivery.Meter
	log     bytes.Buffer
}

func newUnforwardableWorld(t *testing.T) *unforwardableWorld {
	t.Helper()
	b := (&v1alpha1.MQTTBridge{Spec: v1alpha1.MQTTBridgeSpec{
		Local: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://l"}}, Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://r"}},
	}}).WithDefaults()
	w := &unforwardableWorld{metrics: NewMetrics()}
	w.st = NewState(b, v1alpha1.RunnerStatus{Pod: "pod"}, w.metrics)
	w.meter = w.metrics.Meter(LocalToRemote, nil, slog.New(slog.NewTextHandler(&w.log, nil)))
	changed(w.st)
	return w
}

func (w *unforwardableWorld) giveUp(topic string, fate delivery.Fate) {
	w.meter.Unforwardable(delivery.UnforwardableMessage{Topic: topic, Bytes: 3, QoS: 1, Cause: delivery.DropUnforwardable, Fate: fate, DeadLetter: "dead", Err: &diagnosis.Problem{Reason: v1alpha1.ReasonConnectionClosed, Message: "closed"}})
	synctest.Wait()
}

// blocked returns the value of mqttbridge_blocked.
func (w *unforwardableWorld) blocked(t *testing.T) float64 {
	t.Helper()
	families, err := registryOf(w.metrics).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "mqttbridge_blocked" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no metric mqttbridge_blocked")
	return 0
}

// topic returns the topic of the message in the status. It is empty if there is no message.
func (w *unforwardableWorld) topic() string {
	u := w.st.Status().Unforwardable
	if u == nil || u.LocalToRemote == nil {
		return ""
	}
	return u.LocalToRemote.Topic
}

func TestUnforwardable_OneMessage_InStatusFor10Minutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newUnforwardableWorld(t)
		w.giveUp("a/b", delivery.FateDeadLetter)
		m := w.st.Status().Unforwardable.LocalToRemote
		if !changed(w.st) || m.Topic != "a/b" || *m.Bytes != 3 || m.Reason != v1alpha1.ReasonEndsSession || *m.Blocking || !m.Time.Time.Equal(time.Now()) ||
			!strings.Contains(m.Message, "ends the session when it receives this message (QoS 1, a topic of 2 levels): closed") || !strings.Contains(m.Message, `published there under "dead"`) || !strings.Contains(m.Message, "correct its publisher") {
			t.Errorf("status: %+v", m)
		}
		if line := w.log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "topic=a/b") || !strings.Contains(line, "bytes=3") {
			t.Errorf("log: %s", line)
		}
		time.Sleep(unforwardableRetention - time.Second)
		synctest.Wait()
		if changed(w.st) || w.topic() == "" {
			t.Error("the status changes with time, or the message is removed early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !changed(w.st) || w.st.Status().Unforwardable != nil {
			t.Errorf("the message is still in the status: %+v", w.st.Status().Unforwardable)
		}
	})
}

func TestUnforwardable_StreamOfMessages_WritesStatusOncePerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newUnforwardableWorld(t)
		writes, last := 0, ""
		for i := range 600 { // 10 minutes
			last = fmt.Sprintf("t/%d", i)
			w.giveUp(last, delivery.FateDropped)
			if changed(w.st) {
				writes++
			}
			time.Sleep(time.Second)
		}
		if writes < 10 || writes > 11 {
			t.Errorf("%d writes in 10 minutes", writes)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.topic() != last {
			t.Errorf("the latest is %q, want %q", w.topic(), last)
		}
		if lines := strings.Count(w.log.String(), "\n"); lines > 61 {
			t.Errorf("%d lines in the log", lines)
		}
		time.Sleep(unforwardableRetention)
		synctest.Wait()
		if w.topic() != "" {
			t.Error("the message is still in the status")
		}
	})
}

func TestUnforwardable_BlockingMessage_InStatusUntilItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newUnforwardableWorld(t)
		for i := range 60 { // tried again for half an hour
			w.giveUp("t", delivery.FateBlocks)
			if changed(w.st) != (i == 0) {
				t.Fatalf("attempt %d is reported as a change, or the first is not", i)
			}
			time.Sleep(30 * time.Second)
		}
		if m := w.st.Status().Unforwardable.LocalToRemote; !*m.Blocking || !strings.Contains(m.Message, "policy to Drop") {
			t.Errorf("status: %+v", m)
		}
		if n := w.blocked(t); n != 1 {
			t.Errorf("blocked is %v", n)
		}
		w.meter.Unblocked()
		synctest.Wait()
		if !changed(w.st) || w.st.Status().Unforwardable != nil || w.blocked(t) != 0 {
			t.Error("the message is still in the status")
		}
	})
}

func TestUnforwardable_AnyTopicAndAnswer_FitsSchema(t *testing.T) {
	for _, deadLetter := range []string{"dead", strings.Repeat("d", 512), strings.Repeat("\u200b", 170)} {
		for _, text := range []string{strings.Repeat("ü", 40_000), "\xff\x00\x01", strings.Repeat("\x01", 300), strings.Repeat("\U0001F4A1", 1000), ""} {
			for _, fate := range []delivery.Fate{delivery.FateDropped, delivery.FateDeadLetter, delivery.FateBlocks} {
				for cause, reason := range map[string]string{delivery.DropRefused: "Refused", delivery.DropTooLarge: "TooLarge", delivery.DropUnforwardable: "EndsSession"} {
					m := statusOf(&delivery.UnforwardableMessage{Topic: text, Cause: cause, Fate: fate, DeadLetter: deadLetter, Err: &diagnosis.Problem{Message: text}}, time.Now())
					if len(m.Topic) > maxTopic || !utf8.ValidString(m.Topic) || strings.ContainsAny(m.Topic, "\x00\x01") || m.Reason != reason {
						t.Errorf("topic %q, reason %s", m.Topic, m.Reason)
					}
					if len(m.Message) > maxUnforwardable || !utf8.ValidString(m.Message) || !strings.Contains(m.Message, "(levels, size, QoS) or rights") {
						t.Errorf("message %q", m.Message)
					}
				}
			}
		}
	}
}
