// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

func rules(t *testing.T, rules ...v1alpha1.Rule) []config.Rule {
	t.Helper()
	out, err := config.Rules(rules)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAFilterInsideOfAnotherIsNotSubscribedToTwice(t *testing.T) {
	got := Subscriptions(rules(t,
		v1alpha1.Rule{Filter: "a/b", QoS: ptr.To[int32](2)},
		v1alpha1.Rule{Filter: "a/#", QoS: ptr.To[int32](0)},
		v1alpha1.Rule{Filter: "c/+"},
		v1alpha1.Rule{Filter: "c/+", QoS: ptr.To[int32](2)},
		v1alpha1.Rule{Filter: "a/+/x", QoS: ptr.To[int32](1)},
	))
	want := []session.Subscription{{Filter: "a/#", QoS: 2}, {Filter: "c/+", QoS: 2}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestQueueKeepsOrderAndGivesMemoryBack(t *testing.T) {
	var q queue
	next, sent := 0, 0
	push := func(n int) {
		for range n {
			q.push(&outgoing{received: time.Unix(int64(sent), 0)})
			sent++
		}
	}
	pop := func(n int) {
		t.Helper()
		for range n {
			if got := q.pop().received.Unix(); got != int64(next) {
				t.Fatalf("popped %d, want %d", got, next)
			}
			next++
		}
	}
	push(10)
	pop(7)
	push(30) // grows while its front is not at 0
	for i := range q.len() {
		if got := q.at(i).received.Unix(); got != int64(next+i) {
			t.Fatalf("at %d: %d, want %d", i, got, next+i)
		}
	}
	pop(20)
	push(5000)
	pop(q.len())
	if len(q.items) > keepItems {
		t.Errorf("an empty queue holds room for %d", len(q.items))
	}
	push(3)
	pop(3)
}

// counts is a meter that keeps what drops were counted.
type counts struct{ dropped map[string]int }

func (c *counts) Forwarded(int, time.Duration) {}
func (c *counts) Dropped(cause string)         { c.dropped[cause]++ }
func (c *counts) Resent()                      {}
func (c *counts) Redelivered()                 {}
func (c *counts) Held(int, int)                {}

func qos0(topic string, size int) *session.Inbound {
	return &session.Inbound{Message: session.Message{Topic: topic, Payload: make([]byte, size)}}
}

func TestQoS0MessagesAreDroppedAndCountedByCause(t *testing.T) {
	meter := &counts{dropped: map[string]int{}}
	p := New(rules(t,
		v1alpha1.Rule{Filter: "a/#", Exclude: []string{"a/x/#"}},
		v1alpha1.Rule{Filter: "b/#", Topic: "${1}"},
	), 10, meter)
	source, destination := &session.Session{}, &session.Session{}
	p.Opened(source, 0)

	p.Receive(source, qos0("a/b", 1))
	p.mu.Lock()
	p.dest = destination // up, but slow: nothing is sent
	p.mu.Unlock()
	p.Receive(source, qos0("a/x/y", 1))
	p.Receive(source, qos0("other", 1))
	p.Receive(source, qos0("b", 1)) // ${1} of it is empty
	for range 3 {
		p.Receive(source, qos0("a/large", maxQoS0Bytes/3))
	}
	if n := p.queue.len(); n != 2 {
		t.Errorf("%d messages wait, want the 2 that fit", n)
	}
	p.Down(destination)
	if n := p.queue.len(); n != 0 {
		t.Errorf("%d messages wait without a destination", n)
	}
	want := map[string]int{DropNotConnected: 3, DropExcluded: 1, DropNoRule: 1, DropInvalidTopic: 1, DropQueueFull: 1}
	for cause, n := range want {
		if meter.dropped[cause] != n {
			t.Errorf("%s: %d, want %d", cause, meter.dropped[cause], n)
		}
	}
}
