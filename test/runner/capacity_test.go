// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"math"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// docs/guides/capacity.md computes the size of a disk from the size of a message, for messages without
// properties: the payload, the topic and 40 bytes.
func TestCapacity_MessageOnDisk_NeedsTheBytesOfThePage(t *testing.T) {
	t.Parallel()
	const messages, payload, topic, overhead = 2000, 128, "up/x", 40
	l := newDiskLine(t)
	l.connect()
	l.stopServers()
	p := mqtttest.StartPublisher(t, l.local, traffic.PublisherConfig{Topic: topic, Stream: "up", QoS: 1, Size: payload, Count: messages})
	must(t, p.WaitDone(drainTimeout))
	waitBacklog(t, l.runner, messages)
	got := l.runner.Metrics().Sum("mqttbridge_backlog_bytes", "direction=localToRemote") / messages
	if want := float64(payload + len(topic) + overhead); math.Abs(got-want) > 1 {
		t.Errorf("a message needs %.1f bytes on disk, and docs/guides/capacity.md says %.0f", got, want)
	}
}

// The page bounds the number of open files of a process with many bridges and disks.
func TestCapacity_OpenFiles_AreWithinTheBoundOfThePage(t *testing.T) {
	t.Parallel()
	const bridges = 10
	l := newDiskLine(t)
	var all []*v1alpha1.MQTTBridge
	for n := range bridges {
		b := downToo(l.manifest.DeepCopy())
		b.Name = fmt.Sprintf("bridge-%d", n)
		all = append(all, b)
	}
	h := mqtttest.StartHost(t, all...)
	for _, b := range all {
		h.WaitConnected(b.Name+".yaml", eventTimeout)
	}
	p := mqtttest.StartPublisher(t, l.local, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 1, Rate: 100, Size: 128})
	l.stopServers()
	must(t, p.WaitAcknowledged(200, eventTimeout))
	mqtttest.Eventually(t, drainTimeout, "each bridge has a backlog", func() error {
		if n := h.Metrics().Sum("mqttbridge_backlog_messages"); n < 100*bridges {
			return fmt.Errorf("%.0f messages are on the disk", n)
		}
		return nil
	})
	got := h.OpenFiles()
	t.Logf("%d bridges have %d open files", bridges, got)
	if limit := bridges*12 + 100; got > limit {
		t.Errorf("%d bridges have %d open files, and docs/guides/capacity.md says at most %d", bridges, got, limit)
	}
}
