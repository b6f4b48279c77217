// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// watched is an echo for home/# in both directions, besides a rule whose messages no
// subscription takes, and a clock.
type watched struct {
	*echo
	now time.Time
}

func watch(t *testing.T) *watched {
	t.Helper()
	forwards, err := config.Rules([]v1alpha1.Rule{{Filter: "home/#"}, {Filter: "other/#"}})
	if err != nil {
		t.Fatal(err)
	}
	back, err := config.Rules([]v1alpha1.Rule{{Filter: "home/#"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{newEcho(forwards, back), time.Unix(1000, 0)}
	w.begin(w.now)
	return w
}

func (w *watched) message(topic, payload string) *session.Inbound {
	return &session.Inbound{Publish: packet.Publish{Topic: topic, Payload: payload}, At: w.now}
}

func (w *watched) sent(topic, payload string) { w.publish(w.message(topic, payload)) }

func (w *watched) came(topic, payload string) bool { return w.received(w.message(topic, payload)) }

func TestEcho_ServerThatSendsEverythingBack_IsNoticed(t *testing.T) {
	for _, roundTrip := range []time.Duration{time.Millisecond, 600 * time.Millisecond} {
		w := watch(t)
		rounds := 0
		for ; rounds < 1000; rounds++ { // one message, which goes round
			w.sent("other/x", fmt.Sprint(rounds))
			w.sent("home/x", "on")
			w.now = w.now.Add(roundTrip)
			if w.came("home/x", "on") {
				break
			}
		}
		if rounds != echoes-1 {
			t.Errorf("with a round trip of %v it is noticed after %d", roundTrip, rounds)
		}
	}
}

func TestEcho_ServerThatSendsNothingBack_IsNeverTakenForAnother(t *testing.T) {
	for name, run := range map[string]func(w *watched) bool{
		"no message comes twice": func(w *watched) bool {
			w.sent("home/x", fmt.Sprint("here ", w.now))
			return w.came("home/x", fmt.Sprint("there ", w.now))
		},
		"one message in ten that both sides publish": func(w *watched) bool {
			for i := range 10 {
				w.sent(fmt.Sprint("home/", i), "on")
			}
			return w.came("home/1", "on")
		},
		"both sides say the same once a second": func(w *watched) bool {
			w.sent("home/alive", "1")
			w.now = w.now.Add(time.Second)
			return w.came("home/alive", "1")
		},
	} {
		w := watch(t)
		for range 5000 {
			w.now = w.now.Add(10 * time.Millisecond)
			if run(w) {
				t.Errorf("%s: it is noticed", name)
				break
			}
		}
	}
}

func TestEcho_WhatBothSidesRetainAlike_ProvesNothing(t *testing.T) {
	w := watch(t)
	for i := range 1000 {
		w.sent(fmt.Sprint("home/", i), "retained")
	}
	for i := range 1000 {
		m := w.message(fmt.Sprint("home/", i), "retained")
		m.Retain = true
		if w.received(m) {
			t.Fatal("it is noticed")
		}
	}
}

func TestEcho_AnotherSession_BeginsAgain(t *testing.T) {
	w := watch(t)
	for i := range 1000 {
		w.sent(fmt.Sprint("home/", i), "x")
	}
	w.begin(w.now) // with a server of the same cluster, which had these messages from the other
	for i := range 1000 {
		if w.came(fmt.Sprint("home/", i), "x") {
			t.Fatal("it is noticed")
		}
	}
	if len(w.order) > echoHeld {
		t.Errorf("%d messages are remembered", len(w.order))
	}
}
