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
		must(l.T, s.publisher.WaitDone(wholly))
	}
	l.runner.Start()
	for _, s := range streams {
		// Nothing was in flight when the runner was killed.
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
		// What the killed runner held was perhaps sent already.
		if r := s.whole(); r.Duplicates > localInflight {
			l.Errorf("QoS %d: %d messages came twice", s.qos, r.Duplicates)
		}
	}
	if strings.Contains(l.runner.Log(), v1alpha1.ReasonAckTimeout) {
		l.Error("the new runner has waited for an acknowledgement in vain")
	}
}

func nothingIsLostByCuts(l *line) {
	const cuts = 8
	proxy := mqtttest.StartProxy(l.T, l.remote.Address(), 0)
	l.bridge.Spec.Remote.Primary.URL = proxy.URL()
	l.connect()
	var streams []*stream
	for _, w := range l.busy() {
		if !l.ordered(w) {
			continue // it loses, too
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
		mqtttest.Eventually(l.T, soon, "the bridge connects again", func() error {
			if proxy.Accepted() == before {
				return errors.New("no connection")
			}
			return nil
		})
	}
	stop(streams)
	for _, s := range streams {
		r := s.whole()
		// The server keeps the session, so that QoS 2 is exactly once where it
		// has that. At QoS 1 what the cut left without acknowledgement comes twice.
		most := 0
		if l.qos(s.qos) == 1 {
			most = cuts * localInflight
		}
		if r.Duplicates > most {
			l.Errorf("%s, QoS %d: %d messages came twice, want at most %d", s.way.name, s.qos, r.Duplicates, most)
		}
	}
}

func wrongPasswordIsNamed(l *line) {
	l.prepare("wrong")
	l.runner.Start()
	l.awaitError(v1alpha1.ReasonAuthenticationFailed, "login", "password")
	if strings.Contains(l.runner.Log(), "wrong") {
		l.Error("the log holds the password")
	}
	l.runner.SetFile("login", "password", password)
	l.runner.WaitActive("primary", soon)
}

func refusedSubscriptionIsNamed(l *line) {
	l.bridge.Spec.Subscriptions = []v1alpha1.Rule{{Filter: "forbidden/#"}}
	l.prepare(password)
	l.runner.Start()
	l.awaitError(v1alpha1.ReasonSubscriptionRefused, "forbidden/#")
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
	remarked := strings.Contains(l.runner.Log(), "the server refuses the bridge flag, so the bridge connects without it; set bridgeMode: Off to avoid the attempt with the flag")
	if want := l.version == v1alpha1.ProtocolVersion311 && !l.peer.bridgeBit; remarked != want {
		l.Errorf("a refused bridge bit is remarked on: %t, want %t", remarked, want)
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

// awaitError waits until the remote server fails for that reason, in those words.
func (l *line) awaitError(reason string, words ...string) {
	l.Helper()
	l.runner.WaitStatus(soon, "the remote server fails with "+reason, func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote == nil || len(s.Remote.Servers) == 0 {
			return errors.New("no servers yet")
		}
		e := s.Remote.Servers[0]
		if e.LastError == nil || e.LastError.Reason != reason {
			return fmt.Errorf("it is %s with error %+v", e.State, e.LastError)
		}
		for _, word := range words {
			if !strings.Contains(e.LastError.Message, word) {
				return fmt.Errorf("the error is %q, which does not say %q", e.LastError.Message, word)
			}
		}
		return nil
	})
}

func goesOnAfterRestart(l *line) {
	const count = 500
	// The proxy keeps the bridge away until the collector has subscribed again:
	// a server that forgets its sessions would have nobody to give messages to.
	proxy := mqtttest.StartProxy(l.T, l.remote.Address(), 0)
	l.bridge.Spec.Remote.Primary.URL = proxy.URL()
	l.connect()
	streams := map[string]*stream{}
	for _, w := range l.busy() {
		streams[w.name] = l.listen(w, 1)
	}
	proxy.BlackHole(true)
	s, goesUp := streams["up"]
	back, goesDown := streams["down"]
	if goesDown && l.peer.outlives {
		back.publish(traffic.PublisherConfig{Count: count})
		must(l.T, back.publisher.WaitDone(wholly))
	}
	if goesUp {
		s.publish(traffic.PublisherConfig{Count: count})
		must(l.T, s.publisher.WaitDone(wholly))
	}
	l.remote.Stop()
	proxy.Cut()
	l.remote.Start()
	if goesUp {
		must(l.T, s.collector.WaitSubscribed(l.remote.Source().Name, 2, soon))
	}
	proxy.BlackHole(false)
	if goesUp {
		s.whole()
	}
	if goesDown {
		if !l.peer.outlives { // then the bridge has to subscribe first
			l.runner.WaitActive("primary", soon)
			back.publish(traffic.PublisherConfig{Count: count})
		}
		back.onceEach(back.whole())
	}
}
