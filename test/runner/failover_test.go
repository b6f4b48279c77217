// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// promisedSwitch applies to a machine without other load. The test compares it with the median of
// several switches.
const (
	promisedSwitch = 100 * time.Millisecond
	measured       = 3
)

func TestFailover_PrimaryKilled_BackupContinuesImmediately(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			var gaps []time.Duration
			for range measured {
				gaps = append(gaps, killPrimary(t, qos))
			}
			slices.Sort(gaps)
			t.Logf("from the kill to the first message through the backup: %v", gaps)
			if median := gaps[measured/2]; median > promisedSwitch {
				t.Errorf("from the kill to the first message through the backup: %s, want at most %s", median, promisedSwitch)
			}
		})
	}
}

// killPrimary kills the primary at 500 messages a second and returns the time until the first
// message arrives through the backup.
func killPrimary(t *testing.T, qos byte) time.Duration {
	t.Helper()
	l := newLine(t)
	l.connect()
	l.stream(qos, 500)
	killed := l.primary.Kill()
	first, err := l.collector.WaitFrom("backup-1", killed, eventTimeout)
	must(t, err)
	l.flow(250)
	r := l.finish()
	status := l.runner.WaitActive("backup-1", eventTimeout)
	if repeated := resent(l.runner); r.Duplicates > repeated {
		t.Errorf("%d messages arrived twice, but the runner counted %d resent messages", r.Duplicates, repeated)
	}
	checkFailover(t, status, v1alpha1.ReasonConnectionClosed)
	l.runner.Kill()
	return first.Time.Sub(killed)
}

func TestFailover_MessagesInFlight_AreResentToBackupInOrder(t *testing.T) {
	t.Parallel()
	eachQoS(t, func(t *testing.T, l *line, qos byte) {
		link := l.far(25 * time.Millisecond)
		l.connect()
		l.stream(qos, 1000)
		l.primary.Kill()
		link.Cut()
		l.flow(500)
		r := l.finish()
		again := resent(l.runner)
		t.Logf("%d resent", again)
		// 1,000 messages a second over 50 ms are 50 messages in flight; at least half of them
		// must be resent.
		if again < 25 {
			t.Errorf("%d messages were resent, want the messages in flight over 50 ms", again)
		}
		if r.Duplicates > again {
			t.Errorf("%d messages arrived twice, but the runner counted %d resent messages", r.Duplicates, again)
		}
	})
}

// resent returns the runner's count of messages that it resent to the remote side.
func resent(r *mqtttest.Runner) int {
	return int(r.Metrics().Sum("mqttbridge_messages_resent_total", "direction=localToRemote"))
}

// checkFailover checks that the status shows one failover from primary to backup-1.
func checkFailover(t *testing.T, s v1alpha1.MQTTBridgeStatus, reason string) {
	t.Helper()
	r := s.Remote
	if r.Active == nil || r.Active.Role != v1alpha1.RoleBackup || r.Active.Place != 2 || r.Active.URL != r.Servers[1].URL {
		t.Errorf("active is %+v, want the first backup", r.Active)
	}
	if got := ptr.Deref(r.Switches, -1); got != 1 {
		t.Errorf("switches = %d, want 1", got)
	}
	f := r.LastFailover
	if f == nil || f.From != "primary" || f.To != "backup-1" || f.Reason != reason || f.DurationMilliseconds == nil {
		t.Fatalf("lastFailover = %+v, want from primary to backup-1 with reason %s and a duration", f, reason)
	}
	if e := r.Servers[0]; e.State != v1alpha1.ServerFailed || e.LastError == nil {
		t.Errorf("the primary is %s with error %v, want Failed with an error", e.State, e.LastError)
	}
	if e := r.Servers[1]; e.State != v1alpha1.ServerActive || e.LastError != nil {
		t.Errorf("the backup is %s with error %v, want Active without an error", e.State, e.LastError)
	}
}

func TestFailover_PrimaryFrozen_StaysOnBackupWhilePrimaryIsSilent(t *testing.T) {
	t.Parallel()
	eachQoS(t, func(t *testing.T, l *line, qos byte) {
		timeouts(retry(l.manifest, 100, 1), 1, 1)
		l.connect()
		l.stream(qos, 500)
		frozen := l.primary.Freeze()
		first, err := l.collector.WaitFrom("backup-1", frozen, eventTimeout)
		must(t, err)
		if gap := first.Time.Sub(frozen); gap > 3*time.Second {
			t.Errorf("the first message arrived through the backup %s after the freeze, want ackTimeoutSeconds (1) and a margin", gap)
		}
		l.flow(2000) // four seconds, in which the primary accepts connections and does not answer
		checkFailover(t, l.runner.WaitActive("backup-1", eventTimeout), v1alpha1.ReasonAckTimeout)
		l.primary.Thaw()
		l.flow(250)
		l.finish()
	})
}

func TestFailover_IdleBridgeAndFrozenPrimary_IsDetected(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Spec.Remote.KeepAliveSeconds = ptr.To[int32](1)
	failover(l.manifest).PingTimeoutSeconds = ptr.To[int32](1)
	l.connect()
	l.primary.Freeze()
	// One keep alive, one ping timeout, and the same again for a busy machine.
	checkFailover(t, l.runner.WaitActive("backup-1", 5*time.Second), v1alpha1.ReasonPingTimeout)
}

func TestFailover_PrimaryPartitioned_UsesBackup(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	partition := l.far(0)
	timeouts(l.manifest, 1, 1)
	l.connect()
	l.stream(1, 500)
	partition.BlackHole(true)
	began := time.Now()
	first, err := l.collector.WaitFrom("backup-1", began, eventTimeout)
	must(t, err)
	if gap := first.Time.Sub(began); gap > 3*time.Second {
		t.Errorf("the first message arrived through the backup %s after the partition, want ackTimeoutSeconds (1) and a margin", gap)
	}
	l.flow(250)
	l.finish()
}

func TestFailover_ServersWithDifferentErrors_AllAreTriedInOneRound(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	strict := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "strict", Users: map[string]string{"bridge": "secret"}})
	good := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "good"})
	silent := mqtttest.StartFaulty(t, mqtttest.NeverAnswer)
	nonsense := mqtttest.StartFaulty(t, mqtttest.AnswerNonMQTT)
	closing := mqtttest.StartFaulty(t, mqtttest.CloseImmediately)
	dead := fmt.Sprintf("mqtt://127.0.0.1:%d", mqtttest.FreePort(t))

	b := manifest("round", local.URL(), dead, "mqtt://no-such-host.invalid", silent.URL(), strict.URL(), nonsense.URL(), closing.URL(), good.URL())
	timeouts(b, 1, 1)
	withoutProbes(b)
	b.Spec.Remote.Backups[2].Credentials = mqtttest.Login("login")
	r := mqtttest.NewRunner(t, b)
	r.SetFile("login", "username", "bridge")
	r.SetFile("login", "password", "wrong")
	began := time.Now()
	r.Start()
	status := r.WaitActive("backup-6", eventTimeout)
	// Two servers may take the whole connectTimeoutSeconds: the silent one and, if the resolver is
	// slow, the unknown name.
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the good server was reached after %s, want one round: at most twice connectTimeoutSeconds (1) and a margin", took)
	}
	for i, want := range []string{
		v1alpha1.ReasonConnectionRefused, v1alpha1.ReasonNameNotResolved, v1alpha1.ReasonConnectTimeout,
		v1alpha1.ReasonAuthenticationFailed, v1alpha1.ReasonProtocolError, v1alpha1.ReasonConnectionClosed,
	} {
		e := status.Remote.Servers[i]
		if e.State != v1alpha1.ServerFailed || e.LastError == nil || e.LastError.Reason != want {
			t.Errorf("%s (%s) is %s with error %+v, want Failed with %s", e.Name, e.URL, e.State, e.LastError, want)
		}
	}
	if n := silent.Accepted(); n != 1 {
		t.Errorf("the silent server had %d attempts, want 1", n)
	}
}

func TestFailover_SilentPrimary_TakesConnectTimeoutOnce(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	silent := mqtttest.StartFaulty(t, mqtttest.NeverAnswer)
	l.manifest.Spec.Remote.Primary.URL = silent.URL()
	timeouts(l.manifest, 1, 1)
	withoutProbes(l.manifest)
	l.runner = mqtttest.NewRunner(t, l.manifest)
	began := time.Now()
	l.runner.Start()
	l.runner.WaitActive("backup-1", eventTimeout)
	if took := time.Since(began); took < time.Second || took > 2500*time.Millisecond {
		t.Errorf("the backup was reached after %s, want connectTimeoutSeconds (1) and a margin", took)
	}
	l.stream(1, 500)
	l.flow(500)
	if n := silent.Accepted(); n != 1 {
		t.Errorf("the silent server had %d attempts, want 1", n)
	}
	l.finish()
}

func TestFailover_BothDirections_Continue(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	downToo(l.manifest)
	l.connect()
	l.stream(1, 500)
	down := mqtttest.StartCollector(t, "down/#", "down", l.local)
	fromPrimary := mqtttest.StartPublisher(t, l.primary, traffic.PublisherConfig{Topic: "down/p", Stream: "down", QoS: 1, Rate: 500})
	must(t, down.WaitCount(250, eventTimeout))
	fromPrimary.Close()
	killed := l.primary.Kill()
	_, err := l.collector.WaitFrom("backup-1", killed, eventTimeout)
	must(t, err)
	l.runner.WaitActive("backup-1", eventTimeout)

	after := mqtttest.StartCollector(t, "down/#", "after", l.local)
	fromBackup := mqtttest.StartPublisher(t, l.backup, traffic.PublisherConfig{Topic: "down/b", Stream: "after", QoS: 1, Rate: 500, Count: 500})
	must(t, fromBackup.WaitDone(eventTimeout))
	onceEach(t, judge(t, fromBackup, after, after.WaitAll(fromBackup.Ledger(), eventTimeout)))
	l.finish()
}

func TestFailover_Subscriptions_ReceiveFromEachServer(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	downToo(retry(l.manifest, 50, 1))
	l.connect()
	send := func(from *mqtttest.Broker, stream string, qos byte) func() {
		c := mqtttest.StartCollector(t, "down/#", stream, l.local)
		p := mqtttest.StartPublisher(t, from, traffic.PublisherConfig{Topic: "down/x", Stream: stream, QoS: qos, Rate: 1000, Count: 200})
		must(t, p.WaitDone(eventTimeout))
		return func() {
			t.Helper()
			onceEach(t, judge(t, p, c, c.WaitAll(p.Ledger(), eventTimeout)))
		}
	}
	for qos := byte(1); qos <= 2; qos++ {
		send(l.primary, fmt.Sprint("primary", qos), qos)()
	}
	l.primary.Stop()
	l.runner.WaitActive("backup-1", eventTimeout)
	for qos := byte(1); qos <= 2; qos++ {
		send(l.backup, fmt.Sprint("backup", qos), qos)()
	}
	// The messages that the primary receives while the bridge uses another server wait in its
	// session.
	l.primary.Start()
	waiting := send(l.primary, "waiting", 1)
	l.backup.Stop()
	l.runner.WaitActive("primary", eventTimeout)
	waiting()
}
