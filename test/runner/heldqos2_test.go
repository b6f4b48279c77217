// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// A Mosquitto with default limits holds 20 QoS 2 messages of a runner that was killed, and accepts no other
// message from its session. The source has lost these messages, so that the next runner begins with a QoS 1
// message.
func TestHeldQoS2_OfKilledRunner_NextRunnerLosesNoQoS1Message(t *testing.T) {
	t.Parallel()
	const mosquittoLimit = 20
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprintf("two runners %t", two), func(t *testing.T) {
			t.Parallel()
			local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
			remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "primary", DefaultLimits: true, LogPackets: true})
			var exact atomic.Int64
			remote.FollowLog(func(_ time.Time, line string) {
				if strings.Contains(line, "Received PUBLISH ") && strings.Contains(line, " q2, ") {
					exact.Add(1)
				}
			})
			proxy := mqtttest.StartProxy(t, remote.Address(), 0)
			collector := mqtttest.StartCollector(t, "up/plain", "plain", remote)
			bridge := downToo(retry(manifest("held", local.URL(), proxy.URL()), 50, 1)) // the server keeps the session

			killed, next := heldRunners(t, bridge, two)
			killed.WaitActive("primary", eventTimeout)
			proxy.BlackHoleTo(mqtttest.Client, true)
			lost := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/exact", Stream: "exact", QoS: 2, Count: 2 * mosquittoLimit})
			must(t, lost.WaitDone(eventTimeout)) // so that it sends none of them again
			mqtttest.Eventually(t, eventTimeout, "the server holds as many QoS 2 messages as it may", func() error {
				if n := exact.Load(); n < mosquittoLimit {
					return fmt.Errorf("%d messages", n)
				}
				return nil
			})
			local.Kill()
			killed.Kill()
			proxy.Cut()
			proxy.BlackHoleTo(mqtttest.Client, false)
			local.Start()
			if !two {
				next.Start()
			}
			next.WaitActive("primary", eventTimeout)
			plain := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/plain", Stream: "plain", QoS: 1, Count: 50})
			must(t, plain.WaitDone(drainTimeout))
			onceEach(t, judge(t, plain, collector, collector.WaitAll(plain.Ledger(), eventTimeout)))
		})
	}
}

// heldRunners starts a runner, and returns the runner to kill and the next one: itself, or its standby.
func heldRunners(t *testing.T, bridge *v1alpha1.MQTTBridge, two bool) (killed, next *mqtttest.Runner) {
	t.Helper()
	if !two {
		r := mqtttest.StartRunner(t, bridge)
		return r, r
	}
	pair := mqtttest.NewPair(t, bridge, false)
	pair.Start()
	return pair.Runners[0], pair.Runners[1]
}
