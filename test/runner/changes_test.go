// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	protocol "github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// runs returns a check that the runner runs a generation.
func runs(generation int64) func(v1alpha1.MQTTBridgeStatus) error {
	return func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Runners[0].Generation != generation {
			return fmt.Errorf("generation %d runs; refused: %+v", s.Runners[0].Generation, s.Runners[0].Refused)
		}
		return nil
	}
}

func TestChange_RulesUnderLoad_AppliedInTheProcessWithoutLoss(t *testing.T) {
	t.Parallel()
	for _, disk := range []bool{false, true} {
		t.Run(fmt.Sprintf("disk %t", disk), func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			if disk {
				l.manifest.Spec.Buffer = &v1alpha1.Buffer{Disk: &v1alpha1.DiskBuffer{Size: ptr.To(resource.MustParse("64Mi"))}}
			}
			far := mqtttest.StartClient5(t, l.primary, "far")
			far.Subscribe("extra/#")
			l.connect()
			before := l.runner.WaitActive("primary", eventTimeout)
			l.stream(1, 500)
			l.manifest.Spec.LocalToRemote = append(l.manifest.Spec.LocalToRemote, v1alpha1.Rule{Filter: "extra/#"})
			l.runner.Update(l.manifest)
			l.runner.WaitStatus(eventTimeout, "the change is applied", runs(l.manifest.Generation))
			after := l.runner.WaitActive("primary", eventTimeout)
			if !after.Runners[0].StartTime.Equal(&before.Runners[0].StartTime) || after.Runners[0].StopTime != before.Runners[0].StopTime {
				t.Errorf("%+v, before: %+v", after.Runners[0], before.Runners[0])
			}
			mqtttest.StartClient5(t, l.local, "near").Publish(&paho.Publish{Topic: "extra/a", QoS: 1, Payload: []byte("x")})
			far.Wait("extra/a", 1, eventTimeout)
			l.flow(250)
			l.finish()
			if n := strings.Count(l.runner.Log(), "msg=connected"); n != 2 {
				t.Errorf("%d connections were made, want one per side", n)
			}
			forwarded := l.runner.Metrics().Sum("mqttbridge_messages_forwarded_total", "direction=localToRemote")
			if n := float64(l.collector.Count()); forwarded < n {
				t.Errorf("%v messages were forwarded, and %v arrived: the counters have started again", forwarded, n)
			}
		})
	}
}

func TestChange_RefusedManifest_KeepsThePreviousOneUntilItIsCorrected(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.connect()
	l.stream(1, 200)
	first := l.manifest.Generation
	rules := l.manifest.Spec.LocalToRemote
	l.manifest.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "a/#/b"}}
	l.runner.Update(l.manifest)
	s := l.runner.WaitStatus(eventTimeout, "the manifest is refused", func(s v1alpha1.MQTTBridgeStatus) error {
		if r := s.Runners[0].Refused; r == nil || r.Generation != l.manifest.Generation || !strings.Contains(r.Message, "spec.localToRemote[0].filter") {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	if s.Runners[0].Generation != first {
		t.Errorf("generation %d runs, want %d", s.Runners[0].Generation, first)
	}
	if n := strings.Count(l.runner.Log(), "the changed manifest is refused"); n != 1 {
		t.Errorf("the log reports the refusal %d times", n)
	}
	l.flow(100)
	l.manifest.Spec.LocalToRemote = rules
	l.runner.Update(l.manifest)
	s = l.runner.WaitStatus(eventTimeout, "the manifest is applied", runs(l.manifest.Generation))
	if s.Runners[0].Refused != nil {
		t.Errorf("still refused: %+v", s.Runners[0].Refused)
	}
	l.finish()
}

// The pod is about to be replaced: only a switch and a deletion cannot wait.
func TestChange_ForAnotherPodTemplate_OnlyRequestsAreApplied(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	neverBack(l.manifest)
	ofPod := func(hash string) map[string]string {
		return map[string]string{protocol.AnnotationVersion: "1", protocol.AnnotationTemplateHash: hash}
	}
	l.manifest.Annotations = ofPod("a")
	l.connect()
	first := l.manifest.Generation
	l.stream(1, 200)
	l.manifest.Annotations = ofPod("b")
	l.manifest.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "elsewhere/#"}}
	l.prefer("backup-1", false)
	if s := l.runner.WaitActive("backup-1", eventTimeout); s.Runners[0].Generation != first || s.Runners[0].Refused != nil {
		t.Errorf("%+v", s.Runners[0])
	}
	l.finish()
}

// The restarts overlap: the latest manifest is applied in the end.
func TestChange_SeveralAtOnce_LatestIsApplied(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.runner = mqtttest.StartRaceRunner(t, l.manifest)
	l.runner.WaitActive("primary", eventTimeout)
	for i := range 5 {
		l.manifest.Spec.Delivery = &v1alpha1.Delivery{InflightWindow: ptr.To(int32(10 + i))}
		l.runner.Update(l.manifest)
		if i%2 == 0 {
			l.runner.WaitStatus(eventTimeout, "the change is applied", runs(l.manifest.Generation))
		}
	}
	l.runner.WaitStatus(eventTimeout, "the latest change is applied", runs(l.manifest.Generation))
	l.runner.WaitActive("primary", eventTimeout)
	l.stream(1, 200)
	l.finish()
}

func TestChange_ServersAndRules_StatusAndSeriesFollow(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.connect()
	l.manifest.Spec.Remote.Primary, l.manifest.Spec.Remote.Backups = v1alpha1.Server{Name: "other", URL: l.backup.URL()}, nil
	l.manifest.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "elsewhere/#"}}
	l.runner.Update(l.manifest)
	s := l.runner.WaitActive("other", eventTimeout)
	if len(s.Remote.Servers) != 1 || *s.Remote.Switches != 1 || s.Remote.LastFailover.Reason != v1alpha1.ReasonServerRemoved {
		t.Errorf("%+v, last change of the server: %+v", s.Remote, s.Remote.LastFailover)
	}
	for _, sample := range l.runner.Metrics() {
		if server := sample.Labels["server"]; sample.Labels["side"] == "remote" && server != "" && server != "other" {
			t.Errorf("a series of a removed server: %+v", sample)
		}
		if sample.Labels["rule"] == "up/#" {
			t.Errorf("a series of a removed rule: %+v", sample)
		}
	}
}

func TestChange_ServersRenamed_ConnectionsStay(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.connect()
	l.stream(2, 200)
	l.manifest.Spec.Local.Primary.Name, l.manifest.Spec.Remote.Primary.Name = "near", "far"
	l.runner.Update(l.manifest)
	l.runner.WaitStatus(eventTimeout, "the names have changed", func(s v1alpha1.MQTTBridgeStatus) error {
		if local, remote := s.Local.Active, s.Remote.Active; local == nil || local.Name != "near" || remote == nil || remote.Name != "far" {
			return fmt.Errorf("local %+v, remote %+v", local, remote)
		}
		return runs(l.manifest.Generation)(s)
	})
	l.flow(100)
	onceEach(t, l.finish())
	if n := strings.Count(l.runner.Log(), "msg=connected"); n != 2 || strings.Contains(l.runner.Log(), "msg=switched") {
		t.Errorf("%d connections were made, want one per side", n)
	}
}
