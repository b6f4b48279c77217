// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// spans is a tracer that samples every message and does not change it. It fails the test if a span
// is used after its end. All tests of this package use it: see newWorldWith.
type spans struct {
	t *testing.T

	mu      sync.Mutex
	started int
	// ended holds the events of each span that has ended, in the order of the ends.
	ended []string
}

func newSpans(t *testing.T) *spans { return &spans{t: t} }

func (s *spans) Start(_ *manifest.Rule, _ *session.Inbound, m *session.Message) Span {
	return s.start(m.Topic)
}

func (s *spans) Continue(m *session.Message) Span { return s.start("again " + m.Topic) }

func (s *spans) start(name string) Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	return &span{all: s, events: []string{name}}
}

// checkOpen fails the test if another number of spans is open.
func (s *spans) checkOpen(want int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open := s.started - len(s.ended); open != want {
		s.t.Errorf("%d spans are open, and the pipe knows %d: %d were started, %d have ended", open, want, s.started, len(s.ended))
	}
}

// want waits until these spans have ended, in this order.
func (s *spans) want(want ...string) {
	s.t.Helper()
	eventually(s.t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Equal(s.ended, want) {
			return fmt.Errorf("ended:\n%s\nwant\n%s", strings.Join(s.ended, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
}

// span is a span of [spans]. The lock of the pipe guards it.
type span struct {
	all    *spans
	events []string
	ended  bool
}

func (s *span) add(event string) {
	if s.ended {
		s.all.t.Errorf("the span %q has ended, and receives %q", s.events, event)
	}
	s.events = append(s.events, event)
}

func (s *span) Written(_ string, again bool) {
	event := "written"
	if again {
		event = "written again"
	}
	s.add(event)
}

func (s *span) Refused(_ string, _ error) { s.add("refused") }

func (s *span) End(o Outcome) {
	s.add(strings.TrimSpace(string(o.Result) + " " + o.Cause))
	s.ended = true
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.all.ended = append(s.all.ended, strings.Join(s.events, ", "))
}

// newTracedWorld returns a world whose spans the test reads.
func newTracedWorld(t *testing.T, v packet.Version, opts Options, all ...v1alpha1.Rule) (*world, *spans) {
	t.Helper()
	s := newSpans(t)
	opts.Tracer = s
	return newWorldWith(t, v, opts, all...), s
}

func TestSpan_MessagesOfTwoRules_EndWithTheirDelivery(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w, s := newTracedWorld(t, v, Options{}, v1alpha1.Rule{Filter: "a/#"}, v1alpha1.Rule{Filter: "a/+", Topic: "b/${1}"})
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(0, 0, "a/0", "x"), script.Publish(1, 1, "a/1", "x"))
		w.destination.Want("PUBLISH qos0 a/0=x", "PUBLISH qos0 b/0=x", "PUBLISH 1 qos1 a/1=x", "PUBLISH 2 qos1 b/1=x")
		s.want("a/0, written, delivered", "b/0, written, delivered")
		w.destination.Send(script.Ack(v5.PUBACK, 2, 0), script.Ack(v5.PUBACK, 1, 0))
		s.want("a/0, written, delivered", "b/0, written, delivered", "b/1, written, delivered", "a/1, written, delivered")
	})
}

func TestSpan_ConnectionLost_ContinuesOnTheNextConnection(t *testing.T) {
	w, s := newTracedWorld(t, packet.V311, Options{}, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "a", "x"))
	w.destination.Want("PUBLISH 1 qos1 a=x")
	w.destination.down()
	w.source.Send(script.Publish(0, 0, "b", "x"))
	w.source.sync()
	s.want("b, dropped not_connected")
	w.destination.up(false)
	w.destination.Want("PUBLISH 1 qos1 a=x")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	s.want("b, dropped not_connected", "a, written, written again, delivered")
}

func TestSpan_SessionResumed_ContinuesOnTheNextConnection(t *testing.T) {
	w, s := newTracedWorld(t, packet.V5, Options{}, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 2, "a", "x"))
	w.destination.Want("PUBLISH 1 qos2 a=x")
	w.destination.Send(script.Ack(v5.PUBREC, 1, 0))
	w.destination.Want("PUBREL 1")
	w.destination.down()
	w.destination.up(true)
	w.destination.Want("PUBREL 1")
	w.destination.Send(script.Ack(v5.PUBCOMP, 1, 0))
	s.want("a, written, written again, delivered")
}

func TestSpan_MessageRefused_EndsWithItsCause(t *testing.T) {
	w, s := newTracedWorld(t, packet.V5, Options{}, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "a", "x"))
	w.destination.Want("PUBLISH 1 qos1 a=x")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0x97)) // quota exceeded: it is sent again
	w.destination.Want("PUBLISH 2 qos1 a=x")
	w.destination.Send(script.Ack(v5.PUBACK, 2, 0x99)) // payload format invalid: it is not
	s.want("a, written, refused, written again, dropped refused")
}

func TestSpan_DeadLetter_EndsWhenTheMessageIsGivenUp(t *testing.T) {
	w, s := newTracedWorld(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	w.addReverse()
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "a", "x"))
	w.destination.Want("PUBLISH 1 qos1 a=x")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0x99))
	s.want("a, written, dead_letter refused")
}

func TestSpan_BridgeEnds_EndsAsLeft(t *testing.T) {
	w, s := newTracedWorld(t, packet.V311, Options{}, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "a", "x"))
	w.destination.Want("PUBLISH 1 qos1 a=x")
	w.destination.down()
	w.pipe.EndSpans()
	w.pipe.EndSpans()
	s.want("a, written, left")
}

func TestSpan_MessageOnDisk_EndsWhenStoredAndHasASecondSpan(t *testing.T) {
	s := newSpans(t)
	w := newDiskWorld(t, packet.V311, t.TempDir(), func(o *Options) { o.Tracer = s })
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "a", "x"))
	w.source.Want("PUBACK 1")
	s.want("a, stored")
	w.destination.up(false)
	w.destination.Want("PUBLISH 1 qos1 a=x")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	s.want("a, stored", "again a, written, delivered")
}

func TestUpdate_TracingTurnedOff_EndsOpenSpansWithTheirMessages(t *testing.T) {
	w, s := newTracedWorld(t, packet.V311, Options{}, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "a", "x"))
	w.destination.Want("PUBLISH 1 qos1 a=x")
	w.pipe.Update(rules(t, everything), w.meter, Options{})
	w.source.Send(script.Publish(2, 1, "b", "x"))
	w.destination.Want("PUBLISH 2 qos1 b=x")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
	w.source.Want("PUBACK 1", "PUBACK 2")
	s.want("a, written, delivered")
}
