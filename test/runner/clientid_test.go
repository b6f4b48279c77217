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

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// changeClientID changes the client identifier of the source side.
func (l *line) changeClientID(clientID string) {
	l.t.Helper()
	l.manifest.Spec.Local.ClientID = clientID
	l.runner.Update(l.manifest)
}

// uses returns a check that the source side uses a client identifier.
func uses(clientID string) func(v1alpha1.MQTTBridgeStatus) error {
	return func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Local.ClientID != clientID {
			return fmt.Errorf("the client identifier is %s", s.Local.ClientID)
		}
		return nil
	}
}

// subscribes waits until the runner has subscribed with the changed identifier.
func (l *line) subscribes() {
	l.t.Helper()
	mqtttest.Eventually(l.t, eventTimeout, "the new session is subscribed", func() error {
		if !strings.Contains(l.runner.Log(), "the bridge transfers to its session") {
			return fmt.Errorf("the log does not say so")
		}
		return nil
	})
}

// The other side is down meanwhile, so that messages wait in both sessions.
func TestClientID_ChangedDuringAnOutage_LosesNothing(t *testing.T) {
	t.Parallel()
	eachQoS(t, func(t *testing.T, l *line, qos byte) {
		l.connect()
		l.stream(qos, 500)
		earlier := l.runner.WaitActive("primary", eventTimeout).Local.ClientID
		l.stopServers()
		l.changeClientID("changed")
		l.subscribes()
		if s, err := l.runner.Status(); err != nil || uses(earlier)(s) != nil || runs(l.manifest.Generation)(s) == nil {
			t.Errorf("the change is in effect before the earlier session is drained: %+v (%v)", s.Local, err)
		}
		l.primary.Start()
		l.backup.Start()
		l.runner.WaitStatus(eventTimeout, "the identifier is in use", uses("changed"))
		l.runner.WaitStatus(eventTimeout, "the change is in effect", runs(l.manifest.Generation))
		l.flow(250)
		l.finish()
		mqtttest.Eventually(t, eventTimeout, "the earlier session has ended", func() error {
			if !strings.Contains(l.runner.Log(), "unused client identifier has ended") {
				return fmt.Errorf("the log does not say so")
			}
			return nil
		})
		if l.local.HasSession(earlier) {
			t.Error("the earlier session remains on the server")
		}
	})
}

// The messages that are sent after the new session has subscribed are in this session.
func TestClientID_RunnerKilledDuringTheChange_LosesAtMostTheMessagesBefore(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.connect()
	l.stream(1, 500)
	l.stopServers()
	l.changeClientID("changed")
	l.subscribes()
	before := l.publisher.Ledger().Sent
	l.runner.Kill()
	l.primary.Start()
	l.backup.Start()
	l.runner.Start()
	l.runner.WaitStatus(eventTimeout, "the identifier is in use", uses("changed"))
	l.flow(250)
	must(t, l.publisher.StopAndDrain(drainTimeout))
	ledger := l.publisher.Ledger()
	maps.DeleteFunc(ledger.Acknowledged, func(seq uint64, _ time.Time) bool { return seq <= before })
	must(t, l.collector.WaitAll(ledger, drainTimeout))
}

// Stored messages of QoS 1 arrive once, as with each new subscription.
func TestClientID_Changed_RetainedMessagesArriveOnceMore(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	b := speaking(manifest("again", p.local.URL(), p.remote.URL()), version, v5)
	b.Spec.LocalToRemote = append(b.Spec.LocalToRemote, v1alpha1.Rule{Filter: "mark"})
	p.here.Publish(&paho.Publish{Topic: "up/x", QoS: 1, Retain: true, Payload: []byte("x")})
	r := mqtttest.StartRunner(t, b)
	r.WaitActive("primary", eventTimeout)
	p.there.Wait("up/x", 1, eventTimeout)
	b.Spec.Local.ClientID = "changed"
	r.Update(b)
	r.WaitStatus(eventTimeout, "the identifier is in use", uses("changed"))
	p.mark()
	if n := len(p.there.Received("up/x")); n != 2 {
		t.Errorf("the stored message arrived %d times, want 2", n)
	}
}

func TestPair_ClientIDChanged_LosesNothingAndTheStandbyFollows(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	pair := l.startPair("primary")
	l.manifest.Spec.Local.ClientID = "changed"
	pair.Update(l.manifest)
	l.runner.WaitStatus(eventTimeout, "the identifier is in use", uses("changed"))
	pair.WaitRoles(0)
	l.flow(50)
	l.runner.Kill()
	l.runner = pair.Runners[1]
	l.runner.WaitStatus(eventTimeout, "the standby forwards with the identifier", uses("changed"))
	l.flow(50)
	l.finish()
}

// The standby knows the earlier identifier, and continues the transfer.
func TestPair_ActiveKilledDuringTheChangeOfTheClientID_LosesNothing(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	pair := l.startPair("primary")
	l.stopServers()
	l.manifest.Spec.Local.ClientID = "changed"
	pair.Update(l.manifest)
	l.subscribes()
	must(t, l.publisher.WaitAcknowledged(100, eventTimeout))
	l.runner.Kill()
	l.runner = pair.Runners[1]
	l.primary.Start()
	l.backup.Start()
	l.runner.WaitStatus(eventTimeout, "the standby forwards with the identifier", uses("changed"))
	l.flow(50)
	l.finish()
}

// Each side waits for acknowledgements of the other one.
func TestClientID_BothSidesChanged_LosesNothing(t *testing.T) {
	t.Parallel()
	eachQoS(t, func(_ *testing.T, l *line, qos byte) {
		l.connect()
		l.stream(qos, 500)
		for i := range 3 {
			l.manifest.Spec.Local.ClientID, l.manifest.Spec.Remote.ClientID = fmt.Sprint("local", i), fmt.Sprint("remote", i)
			l.runner.Update(l.manifest)
			l.flow(20)
		}
		l.runner.WaitStatus(eventTimeout, "the identifiers are in use", func(s v1alpha1.MQTTBridgeStatus) error {
			if s.Remote.ClientID != "remote2" {
				return fmt.Errorf("the client identifier is %s", s.Remote.ClientID)
			}
			return uses("local2")(s)
		})
		l.finish()
	})
}
