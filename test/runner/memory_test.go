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

// A source that sends as many messages as it likes fills the memory up to its bound, with no
// server to forward to. The rest stays with it, and comes in order when there is a server,
// without an end of a session that anybody notices. The test runs alone: it measures.
func TestMemory_SourceSendsFarMoreThanTheBound_StaysWithItAndComesInOrder(t *testing.T) {
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
	must(t, l.publisher.WaitDone(wholly))
	within := func(when string) {
		t.Helper()
		taken := l.runner.ResidentBytes()
		t.Logf("the runner takes %d MiB %s", taken/mib, when)
		if taken > requested.Value() {
			t.Errorf("the runner takes %d MiB %s; its pod requests %s", taken/mib, when, requested.String())
		}
	}
	within("while the servers are down")
	l.backup.Start()
	l.primary.Start()
	l.judge(l.collector.WaitAll(l.publisher.Ledger(), wholly))
	within("when all is forwarded")
	s, err := l.runner.Status()
	must(t, err)
	if n := ptr.Deref(s.Local.Failovers, 0); n != 0 || s.Local.Active == nil {
		t.Errorf("the local side: %d failovers, %+v", n, s.Local.Active)
	}
	if n := l.runner.Metrics().Sum("mqttbridge_connection_failures_total", "side=local"); n != 0 {
		t.Errorf("%v attempts to connect to the local server failed", n)
	}
}
