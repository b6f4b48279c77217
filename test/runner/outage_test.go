// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// maxRoundsInAnOutage is the largest number of rounds in an outage of one minute. The default
// pauses (500 ms, doubled up to 30 s, with jitter in the upper half) permit some ten rounds; a
// runner without pauses would make thousands.
const maxRoundsInAnOutage = 12

// maxIdleCPU is the share of one core that a runner may use while it waits.
const maxIdleCPU = 0.02

func TestOutage_AllServersDown_LosesNothing(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d, during the run", qos), func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			l.connect()
			l.stream(qos, 500)
			local := l.runner.WaitActive("primary", eventTimeout).Local.Active
			l.stopServers()
			l.runner.WaitStatus(eventTimeout, "no remote server", func(s v1alpha1.MQTTBridgeStatus) error {
				if s.Remote.Active != nil {
					return fmt.Errorf("%s is active", s.Remote.Active.Name)
				}
				return nil
			})
			waitOutOutage(l, local)
		})
		t.Run(fmt.Sprintf("QoS %d, from the start", qos), func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			l.stopServers()
			l.runner = mqtttest.StartRunner(t, l.manifest)
			s := l.runner.WaitStatus(eventTimeout, "the local side is connected", func(s v1alpha1.MQTTBridgeStatus) error {
				if s.Local == nil || s.Local.Active == nil {
					return fmt.Errorf("no server is active")
				}
				return nil
			})
			l.publishOnly(qos, 500)
			waitOutOutage(l, s.Local.Active)
		})
	}
}

// waitOutOutage watches the runner while no remote server is available, starts the servers again
// and checks that all messages arrive.
func waitOutOutage(l *line, local *v1alpha1.ActiveServer) {
	t := l.t
	t.Helper()
	// When the bridge holds all messages that the local broker sends, it has nothing to do.
	must(t, l.publisher.WaitAcknowledged(len(l.publisher.Ledger().Acknowledged)+heldOfLocal()+100, 2*eventTimeout))
	failed := connectFailures(l.runner)
	cpu, began := l.runner.CPU(), time.Now()
	memory := l.runner.ResidentBytes()

	time.Sleep(outage()) // the test measures a rate

	took := time.Since(began)
	share := float64(l.runner.CPU()-cpu) / float64(took)
	attempts := connectFailures(l.runner) - failed
	t.Logf("%s without servers: %d attempts, %.2f%% of a core, memory from %d to %d KiB", took.Round(time.Second), attempts, 100*share, memory>>10, l.runner.ResidentBytes()>>10)
	if attempts < 1 || attempts > 2*maxRoundsInAnOutage {
		t.Errorf("%d attempts in %s, want 1 to %d", attempts, took, 2*maxRoundsInAnOutage)
	}
	if share > maxIdleCPU {
		t.Errorf("the runner used %.1f%% of a core while it waited, want at most %.0f%%", 100*share, 100*maxIdleCPU)
	}
	if code := l.runner.Probe("/livez"); code != http.StatusOK {
		t.Errorf("/livez returns %d, want 200: Kubernetes must not restart a runner because its servers are down", code)
	}
	s, err := l.runner.Status()
	must(t, err)
	if s.Local.Active == nil || !s.Local.Active.Since.Equal(&local.Since) {
		t.Errorf("the local session is %+v, want it up since %s", s.Local.Active, local.Since)
	}
	l.backup.Start()
	l.primary.Start()
	// The longest pause is 30 s.
	must(t, l.publisher.StopAndDrain(drainTimeout))
	l.judge(l.collector.WaitAll(l.publisher.Ledger(), drainTimeout))
}

// heldOfLocal returns the number of messages that a local server sends to the bridge before it
// acknowledges them. With MQTT 5, Mosquitto applies only the receive maximum, which is 16 windows.
func heldOfLocal() int {
	if version == v1alpha1.ProtocolVersion5 {
		return 16 * int(v1alpha1.DefaultInflightWindow)
	}
	return localInflight
}

// connectFailures returns the number of failed attempts at remote servers.
func connectFailures(r *mqtttest.Runner) int {
	return int(r.Metrics().Sum("mqttbridge_connection_failures_total", "side=remote"))
}
