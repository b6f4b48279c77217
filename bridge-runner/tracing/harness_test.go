// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/otlptest"
)

const eventTimeout = 10 * time.Second

// world is a process with one bridge, and a receiver of its spans.
type world struct {
	t        *testing.T
	receiver *otlptest.Receiver
	process  *Process
	bridge   *Bridge
	log      *lines
}

// newWorld returns a world in which tracing is off. env are environment variables in turn.
func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10") // in milliseconds
	for i := 0; i < len(env); i += 2 {
		t.Setenv(env[i], env[i+1])
	}
	w := &world{t: t, receiver: otlptest.Start(t), log: &lines{}}
	w.process = NewProcess(slog.New(slog.NewTextHandler(w.log, nil)))
	w.bridge = w.process.Bridge("plants", "plant1")
	t.Cleanup(func() { w.process.Shutdown(time.Second) })
	return w
}

// settings returns settings with the endpoint of the receiver that sample all messages.
func (w *world) settings() *Settings {
	return &Settings{Endpoint: w.receiver.URL(), PerMillion: million}
}

// rule returns a compiled rule.
func rule(t testing.TB, filter, topic string) *manifest.Rule {
	t.Helper()
	rules, err := manifest.Rules([]v1alpha1.Rule{{Filter: filter, Topic: topic}})
	if err != nil {
		t.Fatal(err)
	}
	return &rules[0]
}

// message returns a received message, and the message to be published for it.
func message(topic string, p *packet.Properties) (*session.Inbound, *session.Message) {
	in := &session.Inbound{Publish: packet.Publish{Topic: topic, Payload: "12345", QoS: 1, Properties: p}, ReceivedAt: time.Now()}
	return in, &session.Message{Topic: topic, Payload: in.Payload, QoS: 1, Properties: p}
}

// forward starts and ends the span of a message. It fails the test if the message is not sampled.
func (w *world) forward(topic string, p *packet.Properties) *session.Message {
	w.t.Helper()
	in, m := message(topic, p)
	s := w.bridge.Direction("localToRemote").Start(rule(w.t, "up/#", ""), in, m)
	if s == nil {
		w.t.Fatal("the message is not sampled")
	}
	s.Written("primary", false)
	s.End(delivery.Outcome{Result: delivery.ResultDelivered, Server: "primary"})
	return m
}

// eventually waits until ok returns nil.
func eventually(t *testing.T, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(eventTimeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// counted waits until the counts have these values.
func (w *world) counted(exported, queueFull, failed uint64) {
	w.t.Helper()
	eventually(w.t, func() error {
		got := [3]uint64{w.process.Exported.Load(), w.process.QueueFull.Load(), w.process.ExportFailed.Load()}
		if want := [3]uint64{exported, queueFull, failed}; got != want {
			return fmt.Errorf("exported, dropped because the queue is full, and failed: %v, want %v", got, want)
		}
		return nil
	})
}

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns the number of lines with a text.
func (l *lines) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
