// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
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
	for _, w := range l.both() {
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
		s.onceEach(s.whole())
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
}

func nothingIsLostByCuts(l *line) {
	const cuts = 8
	proxy := mqtttest.StartProxy(l.T, l.remote.Address(), 0)
	l.bridge.Spec.Remote.Primary.URL = proxy.URL()
	l.connect()
	ways := l.both()
	if l.peer.reorders {
		ways = []way{l.up()}
	}
	var streams []*stream
	for _, w := range ways {
		for _, qos := range []byte{1, 2} {
			streams = append(streams, l.stream(w, traffic.PublisherConfig{QoS: qos, Rate: 500}))
		}
	}
	seed := rand.Uint64()
	l.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range cuts {
		for _, s := range streams {
			s.flow(random.IntN(50))
		}
		proxy.Cut()
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
	if n := proxy.Accepted(); n <= cuts {
		l.Errorf("%d connections for %d cuts", n, cuts)
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

func versionIsNamed(l *line) {
	l.bridge.Spec.Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
	l.prepare(password)
	l.runner.Start()
	l.awaitError(v1alpha1.ReasonProtocolVersionRefused, "5")
}

// awaitError waits until the remote server fails for that reason, in those words.
func (l *line) awaitError(reason string, words ...string) {
	l.Helper()
	l.runner.WaitStatus(soon, "the remote server fails with "+reason, func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote == nil || len(s.Remote.Endpoints) == 0 {
			return errors.New("no endpoints yet")
		}
		e := s.Remote.Endpoints[0]
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
	up, down := l.listen(l.up(), 1), l.listen(l.down(), 1)
	proxy.BlackHole(true)
	up.publish(traffic.PublisherConfig{Count: count})
	must(l.T, up.publisher.WaitDone(wholly))
	l.remote.Stop()
	proxy.Cut()
	l.remote.Start()
	must(l.T, up.collector.WaitSubscribed(l.remote.Source().Name, 2, soon))
	proxy.BlackHole(false)
	up.whole()
	down.publish(traffic.PublisherConfig{Count: count})
	down.onceEach(down.whole())
}
