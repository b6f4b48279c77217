// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// watched is the time for which attempts are counted. With the default first pause of 500 ms,
// doubled, and jitter in the upper half, rounds start at about 0, 0.4, 1.1, 2.6 and 5.6 s: five in
// this time, plus a reserve. A server counts twice if the connection that it accepted may prove
// stable.
const (
	watched     = 6 * time.Second
	maxRounds   = 7
	minAttempts = 2
)

func TestAttempts_FaultyServers_AreBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault mqtttest.Fault
		is311 bool // in MQTT 5, the answer is a permanent refusal
	}{
		{"closes the connection immediately", mqtttest.CloseImmediately, false},
		{"answers CONNECT and closes", mqtttest.AcceptThenClose, true},
		{"uses another protocol", mqtttest.AnswerNonMQTT, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
			servers := []*mqtttest.FaultyServer{mqtttest.StartFaulty(t, tc.fault), mqtttest.StartFaulty(t, tc.fault)}
			r := mqtttest.StartRunner(t, manifest("flapping", local.URL(), servers[0].URL(), servers[1].URL()))
			cpu := r.CPU()
			time.Sleep(watched) // the test measures a rate
			used := r.CPU() - cpu
			least := minAttempts
			if tc.is311 && version == v1alpha1.ProtocolVersion5 {
				least = 1
			}
			for i, s := range servers {
				n := s.Accepted()
				t.Logf("server %d: %d connections in %s, %s of CPU", i, n, watched, used)
				if n < least || n > maxRounds {
					t.Errorf("server %d: %d connections in %s, want %d to %d", i, n, watched, least, maxRounds)
				}
			}
			if limit := watched / 20; used > limit {
				t.Errorf("the runner used %s of CPU, want at most %s", used, limit)
			}
		})
	}
}

func TestFlappingPrimary_AcceptsAndCloses_BackupIsUsed(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	flapping := mqtttest.StartFaulty(t, mqtttest.AcceptThenClose)
	l.manifest.Spec.Remote.Primary.URL = flapping.URL()
	l.runner = mqtttest.StartRunner(t, l.manifest)
	l.runner.WaitActive("backup-1", eventTimeout)
	l.stream(1, 500)
	l.flow(1000)
	if n := flapping.Accepted(); n > 2 {
		t.Errorf("the flapping primary had %d attempts, want at most 2 while the backup is active", n)
	}
	onceEach(t, l.finish())
}

func TestAttempts_TwoBridgesWithOneClientID_AreBounded(t *testing.T) {
	t.Parallel()
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	var proxies []*mqtttest.Proxy
	for i := range 2 {
		local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: fmt.Sprint("local-", i)})
		p := mqtttest.StartProxy(t, remote.Address(), 0)
		b := manifest(fmt.Sprint("twin-", i), local.URL(), p.URL())
		b.Spec.Remote.ClientID = "the-same"
		mqtttest.StartRunner(t, b)
		proxies = append(proxies, p)
	}
	time.Sleep(watched) // the test measures a rate
	for i, p := range proxies {
		t.Logf("bridge %d: %d connections in %s", i, p.Accepted(), watched)
		if n := p.Accepted(); n < 1 || n > maxRounds {
			t.Errorf("bridge %d connected %d times in %s, want 1 to %d", i, n, watched, maxRounds)
		}
	}
}
