// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestRestart_RunnerKilled_LosesNothing(t *testing.T) {
	t.Parallel()
	eachQoS(t, func(_ *testing.T, l *line, qos byte) {
		l.far(10 * time.Millisecond)
		l.connect()
		l.stream(qos, 500)
		for range 3 {
			l.runner.Kill()
			l.runner.Start()
			l.flow(250)
		}
		l.finish()
	})
}

// A server that keeps a session for the messages that it sends also keeps the packet identifiers of
// the messages that it received.
func TestRestart_KillsAndCutsAtQoS2WithPersistentSession_LosesNothing(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	proxy := mqtttest.StartProxy(t, l.primary.Address(), 5*time.Millisecond)
	l.manifest.Spec.Remote.Primary.URL, l.manifest.Spec.Remote.Backups = proxy.URL(), nil
	downToo(retry(l.manifest, 50, 1))
	l.connect()
	l.stream(2, 1000)
	for range 5 {
		l.runner.Kill()
		l.runner.Start()
		l.flow(100)
		proxy.Cut()
		l.flow(100)
	}
	l.finish()
}

func TestRestart_LocalBroker_LosesNothing(t *testing.T) {
	t.Parallel()
	eachQoS(t, func(_ *testing.T, l *line, qos byte) {
		l.connect()
		l.stream(qos, 500)
		for range 2 {
			l.local.Restart()
			l.flow(250)
		}
		l.finish()
	})
}

func TestRestart_OnlyRemoteBroker_LosesNothing(t *testing.T) {
	t.Parallel()
	eachQoS(t, func(_ *testing.T, l *line, qos byte) {
		l.manifest.Spec.Remote.Backups = nil
		l.connect()
		l.stream(qos, 500)
		for range 2 {
			l.primary.Restart()
			l.flow(250)
		}
		l.finish()
	})
}

func TestSIGTERM_UnderLoad_DrainsWithoutLossOrDuplicates(t *testing.T) {
	t.Parallel()
	eachQoS(t, func(t *testing.T, l *line, qos byte) {
		l.far(10 * time.Millisecond)
		l.connect()
		l.stream(qos, 1000)
		for range 2 {
			code, took := l.runner.Terminate()
			t.Logf("the runner drained in %s", took.Round(time.Millisecond))
			if code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if took > 5*time.Second {
				t.Errorf("the drain took %s, want at most 5s", took)
			}
			l.runner.Start()
			l.flow(500)
		}
		onceEach(t, l.finish())
	})
}

func TestSIGTERM_ServersDown_EndsRunner(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.connect()
	l.stream(1, 500)
	l.primary.Kill()
	l.backup.Kill()
	must(t, l.publisher.WaitAcknowledged(len(l.publisher.Ledger().Acknowledged)+250, eventTimeout))
	code, took := l.runner.Terminate()
	if code != 0 || took > 15*time.Second {
		t.Errorf("the runner ended with %d after %s, want 0 within 15s, the bound of a drain", code, took)
	}
	l.backup.Start()
	l.runner.Start()
	l.finish()
}

func TestSIGTERM_ServerFrozen_EndsRunner(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Spec.Remote.Backups = nil
	l.connect()
	l.stream(1, 500)
	l.primary.Freeze()
	must(t, l.publisher.WaitAcknowledged(len(l.publisher.Ledger().Acknowledged)+250, eventTimeout))
	if code, took := l.runner.Terminate(); code != 0 || took > 15*time.Second {
		t.Errorf("the runner ended with %d after %s, want 0 within 15s, the bound of a drain", code, took)
	}
	l.primary.Thaw()
	l.runner.Start()
	l.finish()
}

func TestReconnects_Repeated_LeakNothing(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	cutter := l.far(0)
	l.manifest.Spec.Remote.Backups = nil
	retry(l.manifest, 50, 1)
	l.connect()
	l.stream(1, 100)
	reconnect := func(n int) {
		for range n {
			before := cutter.Accepted()
			cutter.Cut()
			mqtttest.Eventually(t, eventTimeout, "the runner connects again", func() error {
				if cutter.Accepted() == before {
					return fmt.Errorf("%d connections so far", before)
				}
				return nil
			})
			l.flow(1)
		}
	}
	reconnect(5) // objects that are created once exist afterwards
	goroutines, files := l.runner.Metrics().Sum("go_goroutines"), l.runner.OpenFiles()
	if goroutines == 0 {
		t.Fatal("the runner does not report go_goroutines")
	}
	reconnect(50)
	// A connection's goroutines may outlive it for a while. A leak at every fifth reconnect exceeds
	// this number.
	const tolerance = 10
	mqtttest.Eventually(t, 3*eventTimeout, "the resources of ended connections are released", func() error {
		nowGoroutines, nowFiles := l.runner.Metrics().Sum("go_goroutines"), l.runner.OpenFiles()
		if nowGoroutines > goroutines+tolerance || nowFiles > files {
			return fmt.Errorf("over 50 reconnects goroutines went from %v to %v, open files from %d to %d", goroutines, nowGoroutines, files, nowFiles)
		}
		return nil
	})
	l.finish()
}
