// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// stuckAfter is when a runner that makes no progress has to say so: the watchdog's limit, and some.
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
			t.Fatalf("/livez says %d: a runner must not be restarted because its servers do not answer", code)
		}
	}
	l.primary.Thaw()
	must(t, l.publisher.StopAndDrain(wholly))
	l.judge(l.collector.WaitAll(l.publisher.Ledger(), 45*time.Second))
	if code := l.runner.Probe("/livez"); code != http.StatusOK {
		t.Errorf("/livez says %d", code)
	}
}

// A runner whose log is not read blocks at its first line, like one in a deadlock.
func TestLivez_LinksAreStuck_FailsAndNamesThem(t *testing.T) {
	t.Parallel()
	log, write := fullPipe(t)
	defer func() { _ = log.Close() }()
	dir := t.TempDir()
	manifest, err := yaml.Marshal(manifest("stuck", "mqtt://127.0.0.1:1", "mqtt://127.0.0.1:1"))
	must(t, err)
	path := filepath.Join(dir, "bridge.yaml")
	must(t, os.WriteFile(path, manifest, 0o600))
	address := fmt.Sprintf("127.0.0.1:%d", mqtttest.FreePort(t))
	runner := exec.Command(mqtttest.RunnerBinary(t), "--bridge", path, "--secrets", dir, "--listen", address)
	runner.Stderr = write
	must(t, runner.Start())
	must(t, write.Close())
	t.Cleanup(func() {
		_ = runner.Process.Kill() // it may have ended
		_ = runner.Wait()
	})
	if code, _ := livez(t, address, soon); code != http.StatusOK {
		t.Errorf("at first /livez says %d", code)
	}
	for end := time.Now().Add(stuckAfter + soon); ; time.Sleep(time.Second) {
		code, text := livez(t, address, soon)
		if code == http.StatusServiceUnavailable {
			if !strings.Contains(text, "local link, ") || !strings.Contains(text, "remote link") {
				t.Errorf("/livez says %q, want it to name the links", text)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("/livez still says %d %q", code, text)
		}
	}
}

// fullPipe returns a pipe into which nothing more can be written.
func fullPipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	must(t, err)
	size, err := unix.FcntlInt(write.Fd(), unix.F_GETPIPE_SZ, 0)
	must(t, err)
	_, err = write.Write(make([]byte, size))
	must(t, err)
	return read, write
}

// livez asks until there is an answer.
func livez(t *testing.T, address string, within time.Duration) (code int, text string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second} // the kubelet's
	mqtttest.Eventually(t, within, "/livez answers", func() error {
		answer, err := client.Get("http://" + address + "/livez")
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		code, text = answer.StatusCode, string(body)
		return err
	})
	return code, text
}
