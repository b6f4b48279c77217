// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// gated makes the sessions of the side pass a gate, which asks permit before each CONNECT.
func (x *side) gated(permit func(context.Context) error) *session.Gate {
	gate := &session.Gate{Permit: permit, Frozen: func() bool { return false }}
	gate.Open()
	for i := range x.Servers {
		config := x.Servers[i].Config
		x.Servers[i].Config = func() (session.Config, error) {
			cfg, err := config()
			cfg.Gate = gate
			return cfg, err
		}
	}
	return gate
}

func TestConnect_NotPermitted_WaitsWithoutAFailureOfTheServer(t *testing.T) {
	x := newSide(t, 2)
	asked, permitted := make(chan bool, 1), make(chan bool)
	x.gated(func(context.Context) error {
		select {
		case asked <- true:
			return context.DeadlineExceeded // the first time
		default:
			<-permitted
			return nil
		}
	})
	x.run()
	x.servers[0].Accept().WantEnd() // the attempt without a permission
	close(permitted)
	x.connect(0)
	x.want("connected 0")
}

func TestGate_ClosedAndOpened_ConnectsToTheSameServer(t *testing.T) {
	x := newSide(t, 2)
	gate := x.gated(func(context.Context) error { return nil })
	x.run()
	c := x.connect(0)
	x.want("up")
	gate.Close()
	c.WantEnd()
	gate.Open()
	for {
		c := x.servers[0].Accept()
		if p, err := c.TryNext(); err == nil && p.Connect != nil {
			c.Send(script.Connack(false, nil))
			break
		}
	}
	x.want("replaced")
}

func TestWarm_Standby_ProbesAllServersWithAnotherClientID(t *testing.T) {
	x := newSide(t, 2)
	x.Failover.ProbeInterval = time.Hour
	x.Apply(x.Settings)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	probed := make(chan map[string]bool, 2)
	ended := make(chan bool)
	go func() {
		x.Warm(ctx, func(passed map[string]bool) bool { probed <- passed; return true })
		close(ended)
	}()
	for server := range 2 {
		x.answerProbe(server, true)
	}
	x.want("probed 0: true", "probed 1: true")
	if passed := <-probed; !maps.Equal(passed, map[string]bool{"a": true, "b": true}) {
		t.Errorf("passed: %v", passed)
	}
	stop()
	<-ended
}

func TestWarm_ServerFails_IsReportedAfterEachRound(t *testing.T) {
	x := newSide(t, 2)
	x.Failover.ProbeInterval = time.Hour // a side that is not warm does not wait for it
	x.Apply(x.Settings)
	ctx, stop := context.WithCancel(context.Background())
	probed, ended := make(chan map[string]bool), make(chan bool)
	go func() {
		x.Warm(ctx, func(passed map[string]bool) bool { probed <- passed; return passed["b"] })
		close(ended)
	}()
	for _, answers := range []bool{false, true} {
		x.answerProbe(0, true)
		x.answerProbe(1, answers)
		if passed := <-probed; !maps.Equal(passed, map[string]bool{"a": true, "b": answers}) {
			t.Errorf("the server answers: %t, passed: %v", answers, passed)
		}
	}
	stop()
	<-ended
}

// answerProbe accepts the probe of a standby, and answers it or ends it.
func (x *side) answerProbe(server int, answers bool) {
	c := x.accept(server, probeID+standbySuffix)
	if answers {
		pass(c)
	} else {
		_ = c.Close()
	}
}

func TestRecalled_ActiveServer_IsTriedFirst(t *testing.T) {
	x := newSide(t, 3)
	x.Recalled = map[string]failover.Knowledge{"a": {FailedAt: time.Now()}, "c": {Active: true}, "other": {Active: true}}
	x.run()
	x.connect(2)
	x.want("connected 2")
}
