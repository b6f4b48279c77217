// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// Without a destination, a source that sends without limit fills the runner's memory up to its
// bound. The remaining messages stay at the source, and arrive in order when a destination is
// available, without the end of a session. The test measures memory, and therefore does not run in
// parallel.
func TestMemory_SourceSendsMoreThanBound_StaysAtSourceAndArrivesInOrder(t *testing.T) {
	const (
		mib      = 1 << 20
		messages = 1500
		size     = 64 << 10
	)
	l := newLineFrom(t, mqtttest.BrokerOptions{Name: "local", Persistence: true, MaxInflight: 2000})
	retry(l.manifest, 100, 1)
	l.connect()
	requested := resource.MustParse(v1alpha1.DefaultRunnerMemory)
	l.stopServers()
	l.publisher = mqtttest.StartPublisher(t, l.local, traffic.PublisherConfig{Topic: "up/memory", Stream: "up", QoS: 1, Size: size, Count: messages})
	must(t, l.publisher.WaitDone(drainTimeout))
	within := func(when string) {
		t.Helper()
		used := l.runner.ResidentBytes()
		t.Logf("the runner uses %d MiB %s", used/mib, when)
		if used > requested.Value() {
			t.Errorf("the runner uses %d MiB %s; its pod requests %s", used/mib, when, requested.String())
		}
	}
	within("while the servers are down")
	l.backup.Start()
	l.primary.Start()
	l.judge(l.collector.WaitAll(l.publisher.Ledger(), drainTimeout))
	within("when all is forwarded")
	s, err := l.runner.Status()
	must(t, err)
	if n := ptr.Deref(s.Local.Switches, 0); n != 0 || s.Local.Active == nil {
		t.Errorf("the local side: %d switches, %+v", n, s.Local.Active)
	}
	if n := l.runner.Metrics().Sum("mqttbridge_connection_failures_total", "side=local"); n != 0 {
		t.Errorf("%v attempts to connect to the local server failed", n)
	}
}
