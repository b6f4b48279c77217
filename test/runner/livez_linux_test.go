// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// stuckAfter is the time within which a runner without progress must report it: the watchdog's
// limit and a margin.
const stuckAfter = 45 * time.Second

func TestLivez_ServersFrozenUnderLoad_StaysOK(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.connect()
	l.stream(1, 2000)
	l.backup.Kill()
	l.primary.Freeze()
	for end := time.Now().Add(stuckAfter); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if code := l.runner.Probe("/livez"); code != http.StatusOK {
			t.Fatalf("/livez returns %d, want 200: Kubernetes must not restart a runner because its servers do not answer", code)
		}
	}
	l.primary.Thaw()
	must(t, l.publisher.StopAndDrain(drainTimeout))
	l.judge(l.collector.WaitAll(l.publisher.Ledger(), drainTimeout))
	if code := l.runner.Probe("/livez"); code != http.StatusOK {
		t.Errorf("/livez returns %d, want 200", code)
	}
}

// A connector that reads its credentials from a volume that does not answer makes no progress, as
// in a deadlock.
func TestLivez_ConnectorWithoutProgress_FailsAndNamesIt(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	bridge := manifest("stuck", local.URL(), "mqtt://127.0.0.1:1")
	bridge.Spec.Remote.Credentials = mqtttest.Login("login")
	r := mqtttest.NewRunner(t, bridge)
	secret := filepath.Join(filepath.Dir(r.DataDir()), "secrets", "login")
	must(t, os.MkdirAll(secret, 0o700))
	for _, key := range []string{"username", "password"} {
		must(t, unix.Mkfifo(filepath.Join(secret, key), 0o600)) // opening the file blocks until a writer opens it
	}
	r.Start()
	began := time.Now()
	mqtttest.Eventually(t, stuckAfter+eventTimeout, "/livez fails", func() error {
		time.Sleep(time.Second) // the kubelet probes less often
		if code := r.Probe("/livez"); code != http.StatusServiceUnavailable {
			return fmt.Errorf("/livez returns %d", code)
		}
		return nil
	})
	if took := time.Since(began); took < 25*time.Second {
		t.Errorf("/livez fails after %s, want at least 25s", took)
	}
	mqtttest.Eventually(t, eventTimeout, "the log names the link", func() error {
		const want = "no progress for 30s: remote connector\""
		if log := r.Log(); !strings.Contains(log, want) || !strings.Contains(log, "goroutine profile") {
			return fmt.Errorf("it has no %q with the goroutines:\n%s", want, log)
		}
		return nil
	})
}
