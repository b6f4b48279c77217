// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
)

// calls is an observer that records the names of the calls.
type calls struct {
	connector.Observer
	all []string
}

func (c *calls) add(name string) { c.all = append(c.all, name) }

func (c *calls) ServersChanged([]connector.Server, []int, time.Time) { c.add("ServersChanged") }
func (c *calls) Connected(int, time.Time)                            { c.add("Connected") }
func (c *calls) Lost(int, *diagnosis.Problem, time.Duration, time.Time) {
	c.add("Lost")
}
func (c *calls) Failed(int, *diagnosis.Problem, time.Time) { c.add("Failed") }
func (c *calls) Probed(int, *diagnosis.Problem, time.Time) { c.add("Probed") }
func (c *calls) Switched(int, connector.Switch, time.Time) { c.add("Switched") }
func (c *calls) ShortfallsFound(int, []diagnosis.Problem)  { c.add("ShortfallsFound") }
func (c *calls) ClientIDUsed(string)                       { c.add("ClientIDUsed") }
func (c *calls) Requested(*v1alpha1.RequestedSwitch)       { c.add("Requested") }

var refusedConnection = &diagnosis.Problem{Reason: v1alpha1.ReasonConnectionRefused, Message: "nothing listens"}

func TestSide_ServerLost_SpanLastsUntilNextServerWithAttempts(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(&Settings{Endpoint: w.receiver.URL()}) // switches are sampled at any rate
	next := &calls{}
	s := w.bridge.Observer("remote", []string{"primary", "backup"}, next)
	at := time.Now().Add(-time.Minute)
	s.Connected(0, at)
	s.Lost(0, &diagnosis.Problem{Reason: v1alpha1.ReasonConnectionClosed, Message: "the server closed the connection"}, 2*time.Second, at.Add(time.Second))
	s.Failed(0, refusedConnection, at.Add(2*time.Second))
	s.Failed(1, refusedConnection, at.Add(3*time.Second))
	s.Connected(1, at.Add(4*time.Second))
	s.Connected(1, at.Add(5*time.Second)) // ends nothing
	got := w.receiver.Wait("switch remote", 1, eventTimeout)[0]
	if !got.Start.Equal(at.Add(time.Second)) || got.End.Sub(got.Start) != 3*time.Second || got.Kind != "internal" || got.ParentID != "" {
		t.Errorf("the span is %+v", got)
	}
	if got.EventNames() != "connection failed, connection failed, connected" {
		t.Errorf("the events are %s", got.EventNames())
	}
	if e := got.Events[1].Attributes; e["mqttbridge.server"] != "backup" || e["mqttbridge.reason"] != v1alpha1.ReasonConnectionRefused || e["mqttbridge.message"] != "nothing listens" {
		t.Errorf("the second event has %v", e)
	}
	for key, value := range map[string]string{
		"mqttbridge.namespace": "plants", "mqttbridge.bridge": "plant1", "mqttbridge.side": "remote", "mqttbridge.switch.from": "primary", "mqttbridge.switch.to": "backup",
		"mqttbridge.reason": v1alpha1.ReasonConnectionClosed, "mqttbridge.silent_seconds": "2", "error.type": v1alpha1.ReasonConnectionClosed,
	} {
		if got.Attributes[key] != value {
			t.Errorf("%s is %q, want %q", key, got.Attributes[key], value)
		}
	}
	if !got.Error || got.Description != "the server closed the connection" {
		t.Errorf("the status is %v, %q", got.Error, got.Description)
	}
	w.counted(1, 0, 0)
}

func TestSide_SwitchFromHealthyServer_SpanCoversInterruption(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	s := w.bridge.Observer("remote", []string{"primary"}, &calls{})
	at := time.Now()
	s.ServersChanged([]connector.Server{{Name: "first"}, {Name: "second"}}, []int{0, -1}, at)
	s.Connected(0, at)
	s.Switched(1, connector.Switch{Reason: v1alpha1.ReasonSwitchRequested, Interruption: 20 * time.Millisecond, Drained: 3, Resent: 1}, at)
	got := w.receiver.Wait("switch remote", 1, eventTimeout)[0]
	if got.End.Sub(got.Start) != 20*time.Millisecond || got.Error {
		t.Errorf("the span is %+v", got)
	}
	for key, value := range map[string]string{
		"mqttbridge.switch.from": "first", "mqttbridge.switch.to": "second", "mqttbridge.reason": v1alpha1.ReasonSwitchRequested,
		"mqttbridge.switch.drained": "3", "mqttbridge.switch.resent": "1",
	} {
		if got.Attributes[key] != value {
			t.Errorf("%s is %q, want %q", key, got.Attributes[key], value)
		}
	}
}

func TestSide_BridgeEndsDuringOutage_SpanEndsWithoutNextServer(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(w.settings())
	s := w.bridge.Observer("local", []string{"primary"}, &calls{})
	s.Lost(0, refusedConnection, 0, time.Now())
	s.End()
	s.End()
	got := w.receiver.Wait("switch local", 1, eventTimeout)[0]
	if _, ok := got.Attributes["mqttbridge.switch.to"]; ok || !got.Error {
		t.Errorf("the span is %+v", got)
	}
	w.counted(1, 0, 0)
}

func TestSide_AllCalls_ArePassedOnAlsoWithoutTracing(t *testing.T) {
	w := newWorld(t)
	next := &calls{}
	s := w.bridge.Observer("remote", []string{"primary"}, next)
	at := time.Now()
	s.ServersChanged([]connector.Server{{Name: "primary"}}, []int{0}, at)
	s.Connected(0, at)
	s.Lost(0, refusedConnection, 0, at)
	s.Failed(0, refusedConnection, at)
	s.Probed(0, nil, at)
	s.Switched(0, connector.Switch{}, at)
	s.ShortfallsFound(0, nil)
	s.ClientIDUsed("x")
	s.Requested(nil)
	s.End()
	if len(next.all) != 9 {
		t.Errorf("the next observer has received %q", next.all)
	}
}
