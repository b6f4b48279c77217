// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// detectorTest is a detector for rules with the filter home/# in both directions, and a
// rule of localToRemote whose messages match no rule of remoteToLocal. It has a clock of its own.
type detectorTest struct {
	*echoDetector
	now time.Time
}

func newDetectorTest(t *testing.T) *detectorTest {
	t.Helper()
	localToRemote, err := manifest.Rules([]v1alpha1.Rule{{Filter: "home/#"}, {Filter: "other/#"}})
	if err != nil {
		t.Fatal(err)
	}
	back, err := manifest.Rules([]v1alpha1.Rule{{Filter: "home/#"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &detectorTest{newEchoDetector(localToRemote, back), time.Unix(1000, 0)}
	w.begin(w.now)
	return w
}

func (w *detectorTest) message(topic, payload string) *session.Inbound {
	return &session.Inbound{Publish: packet.Publish{Topic: topic, Payload: payload}, ReceivedAt: w.now}
}

func (w *detectorTest) forward(topic, payload string) { w.publish(w.message(topic, payload)) }

func (w *detectorTest) comesBack(topic, payload string) bool {
	return w.received(w.message(topic, payload))
}

func TestEchoDetector_ServerSendsAllMessagesBack_EndsSession(t *testing.T) {
	for _, roundTrip := range []time.Duration{time.Millisecond, 600 * time.Millisecond} {
		w := newDetectorTest(t)
		rounds := 0
		for ; rounds < 1000; rounds++ { // one message that goes round in the loop
			w.forward("other/x", fmt.Sprint(rounds))
			w.forward("home/x", "on")
			w.now = w.now.Add(roundTrip)
			if w.comesBack("home/x", "on") {
				break
			}
		}
		if rounds != minEchoes-1 {
			t.Errorf("with a round trip of %v the session ends after %d rounds", roundTrip, rounds)
		}
	}
}

func TestEchoDetector_ServerSendsNoMessageBack_KeepsSession(t *testing.T) {
	for name, run := range map[string]func(w *detectorTest) bool{
		"no message comes twice": func(w *detectorTest) bool {
			w.forward("home/x", fmt.Sprint("here ", w.now))
			return w.comesBack("home/x", fmt.Sprint("there ", w.now))
		},
		"one message in ten that both sides publish": func(w *detectorTest) bool {
			for i := range 10 {
				w.forward(fmt.Sprint("home/", i), "on")
			}
			return w.comesBack("home/1", "on")
		},
		"both sides publish the same message once a second": func(w *detectorTest) bool {
			w.forward("home/alive", "1")
			w.now = w.now.Add(time.Second)
			return w.comesBack("home/alive", "1")
		},
	} {
		w := newDetectorTest(t)
		for range 5000 {
			w.now = w.now.Add(10 * time.Millisecond)
			if run(w) {
				t.Errorf("%s: the session ends", name)
				break
			}
		}
	}
}

func TestEchoDetector_SameRetainedMessagesOnBothSides_KeepsSession(t *testing.T) {
	w := newDetectorTest(t)
	for i := range 1000 {
		w.forward(fmt.Sprint("home/", i), "retained")
	}
	for i := range 1000 {
		m := w.message(fmt.Sprint("home/", i), "retained")
		m.Retain = true
		if w.received(m) {
			t.Fatal("the session ends")
		}
	}
}

func TestEchoDetector_NewSession_StartsAgain(t *testing.T) {
	w := newDetectorTest(t)
	for i := range 1000 {
		w.forward(fmt.Sprint("home/", i), "x")
	}
	w.begin(w.now) // with another server of a cluster, which received these messages from the first server
	for i := range 1000 {
		if w.comesBack(fmt.Sprint("home/", i), "x") {
			t.Fatal("the session ends")
		}
	}
	if len(w.order) > maxRemembered {
		t.Errorf("%d messages are remembered", len(w.order))
	}
}

func TestEchoDetectors_RulesChangeWhileMessagesFlow_LoopsAreDetected(t *testing.T) {
	compile := func(filters ...string) (out []manifest.Rule) {
		for _, f := range filters {
			r, err := manifest.Rules([]v1alpha1.Rule{{Filter: f}})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, r...)
		}
		return out
	}
	var detectors echoDetectors
	now := time.Now()
	message := func(payload string) *session.Inbound {
		return &session.Inbound{Publish: packet.Publish{Topic: "home/x", Payload: payload}, ReceivedAt: now}
	}
	detectors.setRules(compile("home/#"), compile("other/#"), false, now)
	if detectors.local.Load() != nil || detectors.remote.Load() != nil {
		t.Error("there are detectors without a loop")
	}
	changed := make(chan struct{})
	go func() { // as the handler of a session does
		defer close(changed)
		for i := range 1000 {
			detectors.local.Load().received(message(fmt.Sprint(i)))
			detectors.remote.Load().publish(message(fmt.Sprint(i)))
		}
	}()
	for i := range 100 {
		detectors.setRules(compile("home/#"), compile("home/#"), i%2 == 0, now)
	}
	<-changed
	detectors.setRules(compile("new/#", "home/#"), compile("home/#"), true, now) // no session begins after it
	for side, d := range map[string]*echoDetector{"local": detectors.local.Load(), "remote": detectors.remote.Load()} {
		ends := 0
		for i := range minEchoes {
			d.publish(message(fmt.Sprint(i)))
			if d.received(message(fmt.Sprint(i))) {
				ends++
			}
		}
		if ends != 1 {
			t.Errorf("%s: %d echoes of %d end the session, want the last", side, ends, minEchoes)
		}
	}
}
