// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// newCluster returns a line whose two remote servers are the same broker: they share sessions, and
// the broker closes a client's connection when the client opens another one.
func newCluster(t *testing.T) *line {
	t.Helper()
	start := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true, MaxInflight: localInflight})
	}
	l := &line{t: t, local: start("local"), primary: start("cluster")}
	other := mqtttest.StartProxy(t, l.primary.Address(), 0)
	l.manifest = downToo(manifest("cluster", l.local.URL(), l.primary.URL(), other.URL()))
	l.collector = mqtttest.StartCollector(t, "up/#", "up", l.primary)
	return l
}

func TestSwitch_WithinCluster_LosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			l := newCluster(t)
			neverBack(l.manifest)
			failover(l.manifest).Probe = &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](1)}
			l.runner = mqtttest.StartRaceRunner(t, l.manifest)
			l.runner.WaitActive("primary", eventTimeout)
			down := mqtttest.StartCollector(t, "down/#", "down", l.local)
			publisher := mqtttest.StartPublisher(t, l.primary, traffic.PublisherConfig{Topic: "down/x", Stream: "down", QoS: qos, Rate: 500, Size: 64})
			l.stream(qos, 500)
			for i := range 6 {
				server := []string{"backup-1", "primary"}[i%2]
				if r := l.requestSwitch(server); r.State != v1alpha1.SwitchDone {
					t.Fatalf("%+v", r)
				}
				l.flow(200)
			}
			onceEach(t, l.finish())
			must(t, publisher.StopAndDrain(drainTimeout))
			judge(t, publisher, down, down.WaitAll(publisher.Ledger(), drainTimeout))
		})
	}
}
