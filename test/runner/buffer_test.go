// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// onDisk gives a bridge a buffer on disk.
func onDisk(b *v1alpha1.MQTTBridge, size string, whenFull v1alpha1.WhenFull) *v1alpha1.MQTTBridge {
	b.Spec.Buffer = &v1alpha1.Buffer{Disk: &v1alpha1.DiskBuffer{Size: ptr.To(resource.MustParse(size)), WhenFull: &whenFull}}
	return b
}

// newDiskLine returns a line with a buffer on disk and short delays between attempts.
func newDiskLine(t *testing.T) *line {
	t.Helper()
	l := newLine(t)
	retry(onDisk(l.manifest, "1Gi", v1alpha1.WhenFullBlock), 100, 1)
	return l
}

// backlog returns the number of messages in the buffer on disk.
func backlog(r *mqtttest.Runner) int {
	return int(r.Metrics().Sum("mqttbridge_backlog_messages", "direction=localToRemote"))
}

// waitBacklog waits until at least n messages are in the buffer on disk.
func waitBacklog(t *testing.T, r *mqtttest.Runner, n int) {
	t.Helper()
	mqtttest.Eventually(t, drainTimeout, fmt.Sprintf("%d messages on the disk", n), func() error {
		if got := backlog(r); got < n {
			return fmt.Errorf("%d messages are on the disk", got)
		}
		return nil
	})
}

// waitBacklogState waits until the buffer of the forwards has the given state.
func waitBacklogState(t *testing.T, r *mqtttest.Runner, want v1alpha1.BacklogState) {
	t.Helper()
	r.WaitStatus(drainTimeout, "the buffer is "+string(want), func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Buffer == nil || s.Buffer.LocalToRemote == nil {
			return fmt.Errorf("the status has no state of the buffer")
		}
		if got := s.Buffer.LocalToRemote; got.State != want {
			return fmt.Errorf("the buffer is %s: %s", got.State, got.Message)
		}
		return nil
	})
}

func TestBacklogOnDisk_AfterOutage_IsDeliveredInOrder(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{0, 1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			l := newDiskLine(t)
			l.manifest.Spec.Buffer.QoS0WhenDown = ptr.To(v1alpha1.QoS0WhenDownBuffer)
			l.connect()
			waitBacklogState(t, l.runner, v1alpha1.BacklogEmpty)
			l.stream(qos, 1000)
			l.stopServers()
			waitBacklogState(t, l.runner, v1alpha1.BacklogBuffering)
			waitBacklog(t, l.runner, 3000)
			l.backup.Start()
			l.primary.Start()
			l.flow(3000)
			if qos == 0 {
				l.publisher.Stop()
			} else {
				l.finish()
			}
			waitBacklogState(t, l.runner, v1alpha1.BacklogEmpty)
			m := l.runner.Metrics()
			t.Logf("forwarded %v, resent %v, dropped %v", m.Sum("mqttbridge_messages_forwarded_total"), m.Sum("mqttbridge_messages_resent_total"), m.Sum("mqttbridge_messages_dropped_total"))
			if n := backlog(l.runner); n != 0 {
				t.Errorf("%d messages remain on the disk", n)
			}
		})
	}
}

func TestBacklogOnDisk_RunnerKilled_LosesNothing(t *testing.T) {
	t.Parallel()
	l := newDiskLine(t)
	l.connect()
	l.stream(1, 1000)
	l.stopServers()
	for i := range 5 {
		waitBacklog(t, l.runner, 1000*(i+1))
		l.runner.Kill()
		l.runner.Start()
	}
	l.backup.Start()
	l.primary.Start()
	for range 5 { // while the backlog drains
		l.flow(300)
		l.runner.Kill()
		l.runner.Start()
	}
	l.finishWithSourceResends()
	waitBacklogState(t, l.runner, v1alpha1.BacklogEmpty)
}

func TestBufferOnDisk_WithoutDirectory_IsRefused(t *testing.T) {
	t.Parallel()
	data, err := yaml.Marshal(onDisk(manifest("bridge", "mqtt://a.example", "mqtt://b.example"), "1Gi", v1alpha1.WhenFullBlock))
	must(t, err)
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	must(t, os.WriteFile(path, data, 0o600))
	if stderr := refusal(t, path); !strings.Contains(stderr, "spec.buffer.disk") || !strings.Contains(stderr, "--data") {
		t.Errorf("the runner reports %s", stderr)
	}
}

func TestBufferOnDisk_UnusableDirectory_IsReportedAndBridgeForwards(t *testing.T) {
	t.Parallel()
	l := newDiskLine(t)
	l.runner = mqtttest.NewRunner(t, l.manifest)
	must(t, os.WriteFile(l.runner.DataDir(), []byte("in the way"), 0o600))
	l.runner.Start()
	l.runner.WaitActive("primary", eventTimeout)
	waitBacklogState(t, l.runner, v1alpha1.BacklogFailed)
	l.stream(1, 500)
	l.finish()
	if n := l.runner.Metrics().Sum("mqttbridge_buffer_errors_total"); n < 1 {
		t.Errorf("%v errors are counted", n)
	}
}

// A message is acknowledged when it is on disk. A source with a small window therefore continues to
// send while the other side is down.
func TestBufferOnDisk_DestinationDown_SourceContinues(t *testing.T) {
	t.Parallel()
	l := newDiskLine(t)
	l.stopServers()
	l.runner = mqtttest.StartRunner(t, l.manifest)
	l.runner.WaitStatus(eventTimeout, "the local side is connected", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Local == nil || s.Local.Active == nil {
			return fmt.Errorf("no server is active")
		}
		return nil
	})
	l.publishOnly(1, 2000)
	waitBacklog(t, l.runner, 3*localInflight)
	code, took := l.runner.Terminate()
	if code != 0 || took > 5*time.Second {
		t.Errorf("the runner ended with %d after %s, want 0 within 5s: it must not wait for messages on disk", code, took)
	}
	l.runner.Start()
	l.primary.Start()
	l.backup.Start()
	l.finish()
}
