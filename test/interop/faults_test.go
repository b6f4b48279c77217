// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func sessionIsKept(l *line) {
	const meanwhile = 500
	l.connect()
	var streams []*stream
	for _, w := range l.busy() {
		for _, qos := range []byte{1, 2} {
			streams = append(streams, l.listen(w, qos))
		}
	}
	l.runner.Kill()
	for _, s := range streams {
		s.publish(traffic.PublisherConfig{Count: meanwhile})
	}
	for _, s := range streams {
		must(l.T, s.publisher.WaitDone(drainTimeout))
	}
	l.runner.Start()
	for _, s := range streams {
		// No message was in flight when the runner was killed.
		if r := s.whole(); l.ordered(s.way) && !l.peer.breaksResumed {
			s.onceEach(r)
		}
	}
}

func nothingIsLostByKill(l *line) {
	const before, after = 200, 100
	l.connect()
	var streams []*stream
	for _, qos := range []byte{1, 2} {
		streams = append(streams, l.stream(l.up(), traffic.PublisherConfig{QoS: qos, Rate: 1000}))
	}
	for _, s := range streams {
		s.flow(before)
	}
	l.runner.Kill()
	l.runner.Start()
	for _, s := range streams {
		s.flow(after)
	}
	stop(streams)
	for _, s := range streams {
		// The killed runner may have sent the messages that it held.
		if r := s.whole(); r.Duplicates > localInflight {
			l.Errorf("QoS %d: %d messages arrived twice", s.qos, r.Duplicates)
		}
	}
	if strings.Contains(l.runner.Log(), v1alpha1.ReasonAckTimeout) {
		l.Error("the new runner waited for an acknowledgement that did not arrive")
	}
}

// The subscription at QoS 1 does not show whether the server supports QoS 2, and the rule of the other direction permits
// QoS 2. The ping timeout ends a connection on which a server handles no packets after a PUBREL.
func plainMessagesContinueAfterKill(l *line) {
	const messages = 50
	l.bridge.Spec.RemoteToLocal[0].QoS = ptr.To[int32](1)
	l.bridge.Spec.Remote.Failover.PingTimeoutSeconds = ptr.To[int32](2)
	l.connect()
	s := l.stream(l.up(), traffic.PublisherConfig{QoS: 1, Rate: 100})
	s.flow(messages)
	l.runner.Kill()
	l.runner.Start()
	s.flow(messages)
	stop([]*stream{s})
	s.whole()
}

func nothingIsLostByCuts(l *line) {
	const cuts = 8
	proxy := mqtttest.StartProxy(l.T, l.remote.Address(), 0)
	l.bridge.Spec.Remote.Primary.URL = proxy.URL()
	l.connect()
	var streams []*stream
	for _, w := range l.busy() {
		if !l.ordered(w) {
			continue // the server loses such messages, too
		}
		for _, qos := range []byte{1, 2} {
			if qos == 2 && l.peer.swallowsQoS2 {
				continue
			}
			s := l.stream(w, traffic.PublisherConfig{QoS: qos, Rate: 500})
			s.anyOrder = w.name == "down" && l.peer.resendsLate
			streams = append(streams, s)
		}
	}
	seed := rand.Uint64()
	l.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range cuts {
		for _, s := range streams {
			s.flow(random.IntN(50))
		}
		before := proxy.Accepted()
		proxy.Cut()
		mqtttest.Eventually(l.T, eventTimeout, "the bridge connects again", func() error {
			if proxy.Accepted() == before {
				return errors.New("no connection")
			}
			return nil
		})
	}
	stop(streams)
	for _, s := range streams {
		r := s.whole()
		// The server keeps the session, so that QoS 2 is exactly once if the server supports it. At
		// QoS 1 the messages without an acknowledgement at the cut arrive twice.
		limit := 0
		if l.qos(s.qos) == 1 {
			limit = cuts * localInflight
		}
		if r.Duplicates > limit {
			l.Errorf("%s, QoS %d: %d messages arrived twice, want at most %d", s.way.name, s.qos, r.Duplicates, limit)
		}
	}
}

func wrongPasswordIsNamed(l *line) {
	l.prepare("wrong")
	l.runner.Start()
	l.awaitError(v1alpha1.ReasonAuthenticationFailed, "login", "password")
	if strings.Contains(l.runner.Log(), "wrong") {
		l.Error("the log contains the password")
	}
	l.runner.SetFile("login", "password", password)
	l.runner.WaitActive("primary", eventTimeout)
}

func refusedSubscriptionIsNamed(l *line) {
	l.bridge.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "forbidden/#"}}
	l.prepare(password)
	l.runner.Start()
	l.awaitError(v1alpha1.ReasonSubscriptionRefused, "forbidden/#")
}

// One filter that the server refuses does not stop the messages of the others.
func refusedSubscriptionLeavesTheOthers(l *line) {
	l.bridge.Spec.RemoteToLocal = append(l.bridge.Spec.RemoteToLocal, v1alpha1.Rule{Filter: "forbidden/#"})
	l.connect()
	status, err := l.runner.Status()
	if err != nil {
		l.Fatal(err)
	}
	if !slices.ContainsFunc(status.Remote.Shortfalls, func(s v1alpha1.Shortfall) bool {
		return s.Reason == v1alpha1.ReasonSubscriptionRefused && strings.Contains(s.Message, "forbidden/#")
	}) {
		l.Errorf("shortfalls: %+v", status.Remote.Shortfalls)
	}
	s := l.stream(l.down(), traffic.PublisherConfig{QoS: 1, Rate: 500})
	s.flow(50)
	stop([]*stream{s})
	s.whole()
}

func shortfallsAreNamed(l *line) {
	l.connect()
	status, err := l.runner.Status()
	if err != nil {
		l.Fatal(err)
	}
	lowered := slices.ContainsFunc(status.Remote.Shortfalls, func(s v1alpha1.Shortfall) bool {
		return s.Reason == v1alpha1.ReasonQoSLowered && strings.Contains(s.Message, l.topic("down/#"))
	})
	if want := l.peer.maxQoS < 2; lowered != want || len(status.Remote.Shortfalls) > 1 {
		l.Errorf("shortfalls: %+v, lower QoS: %t", status.Remote.Shortfalls, want)
	}
	logged := strings.Contains(l.runner.Log(), "the server refuses the bridge flag, so the bridge connects without it; set bridgeMode: 'Off' to avoid the attempt with the flag")
	if want := l.version == v1alpha1.ProtocolVersion311 && !l.peer.bridgeFlag; logged != want {
		l.Errorf("a refused bridge flag is logged: %t, want %t", logged, want)
	}
}

func versionIsNamed(l *line) {
	l.bridge.Spec.Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
	l.prepare(password)
	l.runner.Start()
	if l.peer.closesOnVersion {
		l.awaitError(v1alpha1.ReasonConnectionClosed, "CONNECT")
		return
	}
	l.awaitError(v1alpha1.ReasonProtocolVersionRefused, "5")
}

// awaitError waits until the remote server fails with the given reason and an error that contains
// the words.
func (l *line) awaitError(reason string, words ...string) {
	l.Helper()
	l.runner.WaitStatus(eventTimeout, "the remote server fails with "+reason, func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote == nil || len(s.Remote.Servers) == 0 {
			return errors.New("the status has no servers")
		}
		e := s.Remote.Servers[0]
		if e.LastError == nil || e.LastError.Reason != reason {
			return fmt.Errorf("the server is %s with error %+v", e.State, e.LastError)
		}
		for _, word := range words {
			if !strings.Contains(e.LastError.Message, word) {
				return fmt.Errorf("the error is %q, which does not contain %q", e.LastError.Message, word)
			}
		}
		return nil
	})
}

func continuesAfterRestart(l *line) {
	const count = 500
	// The proxy blocks the bridge until the collector has subscribed again, because a server
	// without persistent sessions would have no subscriber for the messages.
	proxy := mqtttest.StartProxy(l.T, l.remote.Address(), 0)
	l.bridge.Spec.Remote.Primary.URL = proxy.URL()
	l.connect()
	streams := map[string]*stream{}
	for _, w := range l.busy() {
		streams[w.name] = l.listen(w, 1)
	}
	proxy.BlackHole(true)
	s, hasUp := streams["up"]
	back, hasDown := streams["down"]
	if hasDown && l.peer.outlives {
		back.publish(traffic.PublisherConfig{Count: count})
		must(l.T, back.publisher.WaitDone(drainTimeout))
	}
	if hasUp {
		s.publish(traffic.PublisherConfig{Count: count})
		must(l.T, s.publisher.WaitDone(drainTimeout))
	}
	l.remote.Stop()
	proxy.Cut()
	l.remote.Start()
	if hasUp {
		must(l.T, s.collector.WaitSubscribed(l.remote.Source().Name, 2, eventTimeout))
	}
	proxy.BlackHole(false)
	if hasUp {
		s.whole()
	}
	if hasDown {
		if !l.peer.outlives { // then the bridge must subscribe first
			l.runner.WaitActive("primary", eventTimeout)
			back.publish(traffic.PublisherConfig{Count: count})
		}
		if r := back.whole(); !l.peer.breaksResumed {
			back.onceEach(r)
		}
	}
}
