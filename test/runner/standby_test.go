// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"net/http"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func TestPair_Standby_SaysSoAndIsReady(t *testing.T) {
	local, remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"}), mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	pair := mqtttest.NewPair(t, manifest("pair", local.URL(), remote.URL()), false)
	pair.Start()
	pair.Runners[0].WaitActive("primary", eventTimeout)
	standby := pair.Runners[1]
	s, err := standby.Status()
	must(t, err)
	ready := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != v1alpha1.ReasonStandby || s.Local.Active != nil || s.Remote.Active != nil {
		t.Errorf("the status of the standby is %+v", s)
	}
	if code := standby.Probe("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz of the standby answers %d", code)
	}
	if n := standby.Metrics().Sum("mqttbridge_probes_total"); n < 2 {
		t.Errorf("the standby has made %v probes, want one of each server", n)
	}
}

// pairWithBackup returns a pair whose primary remote server does not answer, and a stream to the backup.
func pairWithBackup(t *testing.T) (*mqtttest.Pair, *traffic.Collector, *traffic.Publisher) {
	t.Helper()
	start := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true})
	}
	local, primary, backup := start("local"), start("primary"), start("backup-1")
	proxy := mqtttest.StartProxy(t, primary.Address(), 0)
	proxy.BlackHole(true)
	m := manifest("pair", local.URL(), proxy.URL(), backup.URL())
	timeouts(m, 10, 10)
	pair := mqtttest.NewPair(t, m, false)
	collector := mqtttest.StartCollector(t, "up/#", "up", backup)
	pair.Start()
	pair.Runners[0].WaitActive("backup-1", 2*eventTimeout)
	return pair, collector, mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 1, Rate: 100, Size: 64})
}

func TestPair_PrimaryDoesNotAnswer_StandbyBeginsWithTheServerInUse(t *testing.T) {
	pair, collector, publisher := pairWithBackup(t)
	must(t, collector.WaitCount(100, eventTimeout))
	pair.Runners[0].Kill()
	killed := time.Now()
	must(t, collector.WaitCount(collector.Count()+100, eventTimeout))
	gap := longestGap(collector.Arrivals(), killed)
	t.Logf("gap %s", gap.Round(time.Millisecond))
	if gap > 5*time.Second {
		t.Errorf("the gap is %s: the standby has tried the primary, which takes 10s", gap)
	}
	must(t, publisher.StopAndDrain(drainTimeout))
	judge(t, publisher, collector, collector.WaitAll(publisher.Ledger(), drainTimeout))
}

// A client with the bridge's identifier ends its session, as another active runner would. The standby is
// not active, so that the runner connects again.
func TestPair_SessionTakenOverByAnotherClient_ConnectsAgain(t *testing.T) {
	l := newPairLine(t, false)
	s, err := l.runner().Status()
	must(t, err)
	for range 3 {
		l.during(func() { l.remote.HasSession(s.Remote.ClientID) })
	}
	l.unchanged()
	l.judge(false, busy*500*time.Millisecond, busy*time.Second)
}
