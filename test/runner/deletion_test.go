// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// requestDeletion gives the runner the manifest of a bridge that is being deleted, as the
// operator does.
func requestDeletion(r *mqtttest.Runner, b *v1alpha1.MQTTBridge, policy v1alpha1.DeletionPolicy) {
	b.DeletionTimestamp = ptr.To(metav1.Now())
	b.Spec.DeletionPolicy = &policy
	r.Update(b)
}

// wantExit waits until the runner has ended with the code.
func wantExit(t *testing.T, r *mqtttest.Runner, want int) {
	t.Helper()
	if code := r.Wait(); code != want {
		t.Fatalf("the runner ends with code %d, want %d:\n%s", code, want, r.Log())
	}
}

// wantNoSession fails the test if a broker holds the session of a side.
func wantNoSession(t *testing.T, side func(*v1alpha1.MQTTBridgeSpec) *v1alpha1.Side, b *v1alpha1.MQTTBridge, brokers ...*mqtttest.Broker) {
	t.Helper()
	for _, broker := range brokers {
		if id := side(&b.WithDefaults().Spec).ClientID; broker.HasSession(id) {
			t.Errorf("%s still holds the session of %q", broker.Name, id)
		}
	}
}

func localSide(s *v1alpha1.MQTTBridgeSpec) *v1alpha1.Side  { return &s.Local }
func remoteSide(s *v1alpha1.MQTTBridgeSpec) *v1alpha1.Side { return &s.Remote }

// waitDeletion waits until the status of the deletion is as wanted.
func waitDeletion(r *mqtttest.Runner, what string, wanted func(*v1alpha1.DeletionStatus) bool) {
	r.WaitStatus(eventTimeout, what, func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Deletion == nil || !wanted(s.Deletion) {
			return fmt.Errorf("the deletion is %+v", s.Deletion)
		}
		return nil
	})
}

// newAbandoned returns a bridge of both directions that has a session on its primary and on its
// backup. The primary has queued messages, and the bridge uses the backup.
func newAbandoned(t *testing.T) *notified {
	t.Helper()
	n := newNotified(t, 1, 0)
	withoutProbes(downToo(n.manifest))
	n.manifest.Spec.Remote.Primary.URL = n.primary.URL()
	n.runner = mqtttest.StartRaceRunner(t, n.manifest)
	n.runner.WaitActive("primary", eventTimeout)
	n.primary.Stop()
	n.runner.WaitActive("backup-1", eventTimeout)
	n.primary.Start()
	mqtttest.StartClient5(t, n.primary, "publisher").Publish(&paho.Publish{Topic: "down/x", QoS: 1, Payload: []byte("queued")})
	return n
}

func TestDeletion_EndSessions_LeavesNoSessionOrNotification(t *testing.T) {
	t.Parallel()
	n := newAbandoned(t)
	requestDeletion(n.runner, n.manifest, v1alpha1.DeletionEndSessions)
	wantExit(t, n.runner, 0)
	wantNoSession(t, localSide, n.manifest, n.local)
	wantNoSession(t, remoteSide, n.manifest, n.primary, n.backup)
	for _, b := range []*mqtttest.Broker{n.local, n.primary, n.backup} {
		c := mqtttest.StartClient5(t, b, "late")
		c.Subscribe("#")
		c.Publish(&paho.Publish{Topic: "mark", QoS: 1, Payload: []byte("x")})
		c.Wait("mark", 1, eventTimeout)
		if got := c.Received(stateTopic); len(got) > 0 {
			t.Errorf("%s still holds the notification %q", b.Name, got[0].Payload)
		}
	}
}

func TestDeletion_Keep_LeavesSessions(t *testing.T) {
	t.Parallel()
	n := newAbandoned(t)
	requestDeletion(n.runner, n.manifest, v1alpha1.DeletionKeep)
	wantExit(t, n.runner, 0)
	for _, b := range []*mqtttest.Broker{n.primary, n.backup} {
		if !b.HasSession(n.manifest.WithDefaults().Spec.Remote.ClientID) {
			t.Errorf("%s holds no session", b.Name)
		}
	}
}

func TestDeletion_ServerDown_EndsOtherSessionsAndContinuesAfterKill(t *testing.T) {
	t.Parallel()
	n := newAbandoned(t)
	n.primary.Stop()
	requestDeletion(n.runner, n.manifest, v1alpha1.DeletionEndSessions)
	primaryRemains := func(d *v1alpha1.DeletionStatus) bool {
		return d.State == v1alpha1.DeletionEndingSessions && len(d.Sessions) == 1 && d.Sessions[0].Server == "primary" &&
			d.Sessions[0].LastError != nil && d.Sessions[0].LastError.Reason == v1alpha1.ReasonConnectionRefused
	}
	waitDeletion(n.runner, "only the primary remains", primaryRemains)
	wantNoSession(t, remoteSide, n.manifest, n.backup)
	n.runner.Kill()
	n.runner.Start()
	waitDeletion(n.runner, "only the primary remains after a kill", primaryRemains)
	n.primary.Start()
	wantExit(t, n.runner, 0)
	wantNoSession(t, remoteSide, n.manifest, n.primary)
}

// When a namespace is being deleted, the pod ends at the same time as the bridge.
func TestDeletion_ProcessIsStopped_StillEndsSessions(t *testing.T) {
	t.Parallel()
	n := newAbandoned(t)
	n.primary.Stop()
	requestDeletion(n.runner, n.manifest, v1alpha1.DeletionEndSessions)
	waitDeletion(n.runner, "only the primary remains", func(d *v1alpha1.DeletionStatus) bool { return len(d.Sessions) == 1 })
	ended := make(chan int, 1)
	go func() {
		code, _ := n.runner.Terminate()
		ended <- code
	}()
	n.primary.Start()
	if code := <-ended; code != 0 {
		t.Errorf("the runner ends with code %d", code)
	}
	wantNoSession(t, remoteSide, n.manifest, n.primary)
}

func TestDeletion_Timeout_NamesWhatRemains(t *testing.T) {
	t.Parallel()
	n := newNotified(t, 1, 0)
	downToo(n.manifest).Spec.DeletionTimeoutSeconds = ptr.To[int32](10)
	n.manifest.Spec.Remote.Primary.URL = n.primary.URL()
	n.start()
	n.runner.WaitActive("primary", eventTimeout)
	n.backup.Stop()
	requestDeletion(n.runner, n.manifest, v1alpha1.DeletionEndSessions)
	wantExit(t, n.runner, 1)
	want := fmt.Sprintf("remote server backup-1: the session of client identifier %q and the retained notification %q", n.manifest.WithDefaults().Spec.Remote.ClientID, stateTopic)
	if !strings.Contains(n.runner.Log(), want) {
		t.Errorf("the runner does not name what remains; want %s:\n%s", want, n.runner.Log())
	}
	wantNoSession(t, remoteSide, n.manifest, n.primary)
}

func TestDeletion_Drain_DeliversAllMessagesAlsoAfterKills(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *line{"in memory": newLine, "on disk": newDiskLine} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("%s, QoS %d", name, qos), func(t *testing.T) {
				t.Parallel()
				l := start(t)
				retry(l.manifest, 100, 1)
				proxy := l.far(5 * time.Millisecond)
				l.connect()
				l.stream(qos, 1000)
				l.stopServers()
				must(t, l.publisher.WaitAcknowledged(l.collector.Count()+3000, eventTimeout))
				must(t, l.publisher.StopAndDrain(drainTimeout))
				requestDeletion(l.runner, l.manifest, v1alpha1.DeletionDrain)
				waitDeletion(l.runner, "messages remain", func(d *v1alpha1.DeletionStatus) bool {
					return d.State == v1alpha1.DeletionDraining && d.Messages != nil && *d.Messages > 0
				})
				l.runner.Kill()
				l.runner.Start()
				before := l.collector.Count()
				l.primary.Start()
				must(t, l.collector.WaitCount(before+200, eventTimeout))
				proxy.Cut()
				l.runner.Kill()
				l.runner.Start()
				wantExit(t, l.runner, 0)
				l.judge(l.collector.WaitAll(l.publisher.Ledger(), eventTimeout))
				wantNoSession(t, localSide, l.manifest, l.local)
			})
		}
	}
}

// The primary has queued a message since the bridge left it.
func TestDeletion_Drain_DeliversMessagesOfServersThatAreNotInUse(t *testing.T) {
	t.Parallel()
	n := newAbandoned(t)
	here := mqtttest.StartClient5(t, n.local, "here")
	here.Subscribe("down/#")
	requestDeletion(n.runner, n.manifest, v1alpha1.DeletionDrain)
	wantExit(t, n.runner, 0)
	if got := here.Wait("down/x", 1, eventTimeout); string(got[0].Payload) != "queued" {
		t.Errorf("got %q", got[0].Payload)
	}
	wantNoSession(t, localSide, n.manifest, n.local)
	wantNoSession(t, remoteSide, n.manifest, n.primary, n.backup)
}

func TestDeletion_DrainWithServerDown_KeepsItsSessionAndEndsTheOthers(t *testing.T) {
	t.Parallel()
	n := newAbandoned(t)
	n.primary.Stop()
	n.manifest.Spec.DeletionTimeoutSeconds = ptr.To[int32](16)
	requestDeletion(n.runner, n.manifest, v1alpha1.DeletionDrain)
	waitDeletion(n.runner, "only the primary remains", func(d *v1alpha1.DeletionStatus) bool {
		return d.State == v1alpha1.DeletionEndingSessions && len(d.Sessions) == 1 && d.Sessions[0].Server == "primary" && d.Sessions[0].LastError != nil
	})
	n.primary.Start()
	wantExit(t, n.runner, 1)
	wantNoSession(t, localSide, n.manifest, n.local)
	wantNoSession(t, remoteSide, n.manifest, n.backup)
	if !n.primary.HasSession(n.manifest.WithDefaults().Spec.Remote.ClientID) {
		t.Error("the session with the message that was not delivered has ended")
	}
}

// Messages that are published after the end of the subscriptions are not forwarded, so that a
// drain ends also if the publishers continue.
func TestDeletion_DrainOfBusyBridge_Ends(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.runner = mqtttest.StartRaceRunner(t, l.manifest)
	l.runner.WaitActive("primary", eventTimeout)
	l.stream(2, 500)
	requestDeletion(l.runner, l.manifest, v1alpha1.DeletionDrain)
	wantExit(t, l.runner, 0)
	wantNoSession(t, localSide, l.manifest, l.local)
	arrivals, ledger := l.collector.Arrivals(), l.publisher.Ledger()
	last := arrivals[len(arrivals)-1].Seq
	maps.DeleteFunc(ledger.Acknowledged, func(seq uint64, _ time.Time) bool { return seq > last })
	if r := traffic.Compare(ledger, arrivals); len(r.Lost)+len(r.Disorder) > 0 {
		t.Errorf("before the last message that arrived: %s", r)
	}
}

func TestDeletion_ChangeFromDrainToEndSessions_EndsDrain(t *testing.T) {
	t.Parallel()
	l := newDiskLine(t)
	l.connect()
	l.stream(1, 500)
	l.stopServers()
	waitBacklog(t, l.runner, 100)
	requestDeletion(l.runner, l.manifest, v1alpha1.DeletionDrain)
	waitDeletion(l.runner, "draining", func(d *v1alpha1.DeletionStatus) bool { return d.State == v1alpha1.DeletionDraining })
	requestDeletion(l.runner, l.manifest, v1alpha1.DeletionEndSessions)
	wantExit(t, l.runner, 0)
	wantNoSession(t, localSide, l.manifest, l.local)
}
