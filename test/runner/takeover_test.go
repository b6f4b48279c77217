// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// The tests of two runners are not parallel to other tests, because they measure gaps and need much of
// the processors. Limits for a busy machine are more than the documented limits.
const busy = 4

func TestPair_ActiveKilled_StandbyTakesOver(t *testing.T) {
	l := newPairLine(t, false)
	for range pairRepetitions {
		l.during(func() { l.runner().Kill() })
		killed := l.active
		l.active = 1 - l.active
		l.pair.Runners[killed].Start()
		l.pair.WaitRoles(l.active)
	}
	l.judge(false, busy*150*time.Millisecond, busy*500*time.Millisecond)
}

func TestPair_SIGTERM_HandsOver(t *testing.T) {
	l := newPairLine(t, false)
	for range pairRepetitions {
		l.during(func() {
			if code, took := l.runner().Terminate(); code != 0 || took > 5*time.Second {
				t.Errorf("the runner ended with %d after %s", code, took)
			}
		})
		ended := l.active
		l.active = 1 - l.active
		l.pair.Runners[ended].Start()
		l.pair.WaitRoles(l.active)
	}
	l.judge(true, busy*50*time.Millisecond, busy*500*time.Millisecond)
}

func TestPair_HandOverByHand_ChangesTheRoles(t *testing.T) {
	l := newPairLine(t, false)
	for range pairRepetitions {
		l.during(l.runner().HandOver)
		l.active = 1 - l.active
		l.pair.WaitRoles(l.active)
	}
	l.judge(true, busy*50*time.Millisecond, busy*500*time.Millisecond)
}

func TestPair_ConnectionBetweenThemCut_ChangesNoRole(t *testing.T) {
	l := newPairLine(t, true)
	for i := range pairRepetitions {
		l.during(func() {
			for _, link := range l.pair.Links {
				link.BlackHole(i%2 == 0)
				link.Cut()
			}
		})
	}
	time.Sleep(5 * time.Second) // longer than the limit for silence
	for _, link := range l.pair.Links {
		link.BlackHole(false)
	}
	l.unchanged()
	l.judge(true, busy*50*time.Millisecond, busy*250*time.Millisecond)
}

func TestPair_StandbyKilledRepeatedly_ChangesNothing(t *testing.T) {
	l := newPairLine(t, false)
	for range pairRepetitions {
		l.during(func() { l.standby().Kill() })
		l.standby().Start()
		l.pair.WaitRoles(l.active)
	}
	l.unchanged()
	l.judge(true, busy*50*time.Millisecond, busy*250*time.Millisecond)
}

func TestPair_ActiveFrozen_StandbyTakesOverAndTheOtherForwardsNothing(t *testing.T) {
	const timeout = 3 * time.Second
	l := newPairLine(t, false, "--peer-timeout", timeout.String())
	frozen := l.runner()
	before := frozen.Metrics().Sum("mqttbridge_messages_forwarded_total")
	l.during(func() {
		before = frozen.Metrics().Sum("mqttbridge_messages_forwarded_total")
		frozen.Freeze()
	})
	l.active = 1 - l.active
	l.during(frozen.Thaw)
	l.pair.WaitRoles(l.active)
	after := frozen.Metrics().Sum("mqttbridge_messages_forwarded_total")
	// Messages were forwarded between the reading of the metrics and the signal, and acknowledgements
	// that had arrived during the freeze are counted.
	t.Logf("the frozen runner has counted %v messages since its metrics were read before the freeze", after-before)
	if after-before > 4*pairRate/2 {
		t.Errorf("the frozen runner has forwarded %v messages after it continued", after-before)
	}
	l.flow()
	if later := frozen.Metrics().Sum("mqttbridge_messages_forwarded_total"); later != after {
		t.Errorf("the frozen runner has forwarded %v messages as a standby", later-after)
	}
	if n := frozen.Metrics().Sum("mqttbridge_member_activations_total"); n != 1 {
		t.Errorf("the frozen runner became active %v times, want 1", n)
	}
	l.judge(false, 2*timeout+2*time.Second, 2*timeout+2*time.Second)
}

// Without --peer-timeout, a frozen runner proves nothing. A user can decide.
func TestPair_ActiveFrozenWithoutTimeout_StandbyTakesOverByHandOnly(t *testing.T) {
	l := newPairLine(t, false)
	frozen := l.runner()
	l.during(func() {
		frozen.Freeze()
		time.Sleep(5 * time.Second)
		if m, err := l.standby().Member(); err != nil || m.State != mqtttest.MemberStandby {
			t.Errorf("the standby is %+v (%v)", m, err)
		}
		l.standby().TakeOver()
	})
	l.active = 1 - l.active
	frozen.Thaw()
	l.pair.WaitRoles(l.active)
	l.judge(false, time.Minute, time.Minute) // the gap is the time until the user decides
}

// allForward waits until both sides of all bridges of a runner are connected.
func allForward(t *testing.T, r *mqtttest.Runner, bridges float64) {
	t.Helper()
	mqtttest.Eventually(t, eventTimeout, "all bridges forward", func() error {
		if n := r.Metrics().Sum("mqttbridge_connected"); n != 2*bridges {
			return fmt.Errorf("%v of %v", n, 2*bridges)
		}
		return nil
	})
}

func TestPair_ManyBridges_AllTakeOver(t *testing.T) {
	const bridges = 30
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	var all []*v1alpha1.MQTTBridge
	for i := range bridges {
		b := manifest(fmt.Sprintf("b%d", i), local.URL(), remote.URL())
		b.Spec.LocalToRemote[0].Filter = b.Name + "/#"
		all = append(all, b)
	}
	pair := mqtttest.NewHostPair(t, all)
	pair.Start()
	allForward(t, pair.Runners[0], bridges) // they have subscribed
	collector := mqtttest.StartCollector(t, "b7/#", "up", remote)
	publisher := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "b7/x", Stream: "up", QoS: 1, Rate: 100, Size: 64})
	must(t, collector.WaitCount(50, eventTimeout))
	pair.Runners[0].Kill()
	killed := time.Now()
	allForward(t, pair.Runners[1], bridges)
	t.Logf("%d bridges forward after %s", bridges, time.Since(killed).Round(time.Millisecond))
	must(t, publisher.StopAndDrain(drainTimeout))
	arrived := collector.WaitAll(publisher.Ledger(), drainTimeout)
	judge(t, publisher, collector, arrived)
	pair.Runners[0].Start()
	pair.WaitRoles(1)
	if code, _ := pair.Runners[1].Terminate(); code != 0 {
		t.Errorf("the active runner ended with %d", code)
	}
	pair.Runners[0].WaitMember(func(m mqtttest.Member) bool { return m.State == mqtttest.MemberActive })
}
