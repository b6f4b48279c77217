// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestCuts_RandomConnections_LoseNothing(t *testing.T) {
	t.Parallel()
	const cuts = 30
	eachQoS(t, func(t *testing.T, l *line, qos byte) {
		local := mqtttest.StartProxy(t, l.local.Address(), 0)
		remote := mqtttest.StartProxy(t, l.primary.Address(), 2*time.Millisecond)
		l.manifest.Spec.Local.Primary.URL = local.URL()
		l.manifest.Spec.Remote.Primary.URL = remote.URL()
		retry(l.manifest, 50, 1)
		l.manifest.Spec.Local.Failover = &v1alpha1.Failover{Retry: l.manifest.Spec.Remote.Failover.Retry}
		l.connect()
		l.stream(qos, 1000)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		for range cuts {
			if random.IntN(2) == 0 {
				local.Cut()
			} else {
				remote.Cut()
			}
			l.flow(random.IntN(200))
		}
		r := l.finishWithSourceResends()
		// A message arrives twice if it was resent after a cut, or if the cut lost its
		// acknowledgement to the local broker.
		again := int(l.runner.Metrics().Sum("mqttbridge_messages_resent_total"))
		if limit := again + cuts*localInflight; r.Duplicates > limit {
			t.Errorf("%d messages arrived twice; %d were resent", r.Duplicates, again)
		}
		t.Logf("%d resent, %.0f not forwarded again because the local broker had resent them",
			again, l.runner.Metrics().Sum("mqttbridge_messages_redelivered_total"))
	})
}

// The bridge also receives from the remote side, so that the server keeps the session.
func TestCuts_QoS2WithPersistentSession_IsExactlyOnce(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	link := mqtttest.StartProxy(t, l.primary.Address(), 5*time.Millisecond)
	l.manifest.Spec.Remote.Primary.URL, l.manifest.Spec.Remote.Backups = link.URL(), nil
	downToo(retry(l.manifest, 50, 1))
	l.connect()
	l.stream(2, 1000)
	for range 10 {
		link.Cut()
		l.flow(200)
	}
	onceEach(t, l.finish())
	if resent(l.runner) == 0 {
		t.Error("no cut happened while messages were in flight")
	}
}
