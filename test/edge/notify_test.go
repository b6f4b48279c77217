// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

const (
	// eventTimeout is the timeout for events that take milliseconds on an idle machine, and for reports to
	// systemd, which come every 10 seconds.
	eventTimeout = 30 * time.Second
	// stuckTimeout is the time within which a process without progress is found, with a margin.
	stuckTimeout = 75 * time.Second
)

// supervised is a process that the test has started as systemd does for the unit.
type supervised struct {
	t      *testing.T
	dir    string // replaces /etc/mqttbridge and /var/lib/mqttbridge
	listen string
	socket *net.UnixConn
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}

	mu       sync.Mutex
	messages []string // the lines that the process has reported
	seen     int      // the number of lines that a test has waited for
}

// newSupervised prepares the directories of the unit.
func newSupervised(t *testing.T) *supervised {
	t.Helper()
	s := &supervised{t: t, dir: t.TempDir(), listen: mqtttest.FreeAddress(t), ended: make(chan struct{})}
	for _, name := range []string{"bridges", "secrets", "data"} {
		must(t, os.MkdirAll(filepath.Join(s.dir, name), 0o700))
	}
	var err error
	s.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(s.dir, "notify"), Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { _ = s.socket.Close() })
	return s
}

// write writes a file of the directory.
func (s *supervised) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(s.t, os.WriteFile(path, []byte(text), 0o600))
}

// start starts the command of a unit, with a watchdog of this time.
func (s *supervised) start(u unit, watchdog time.Duration) {
	s.t.Helper()
	_, arguments := u.command(s.t, filepath.Join(s.dir, "credentials"))
	paths := strings.NewReplacer("/etc/mqttbridge", s.dir, "/var/lib/mqttbridge", filepath.Join(s.dir, "data"), "127.0.0.1:8080", s.listen)
	for i := range arguments {
		arguments[i] = paths.Replace(arguments[i])
	}
	s.cmd = exec.CommandContext(s.t.Context(), mqtttest.RunnerBinary(s.t), arguments...)
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.socket.LocalAddr().String(), fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(s.t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	go s.receive()
	s.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.ended
		if s.t.Failed() {
			s.t.Logf("reported: %q; output:\n%s", s.messages, &s.output)
		}
	})
}

func (s *supervised) receive() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.socket.Read(buffer)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.messages = append(s.messages, strings.Split(string(buffer[:n]), "\n")...)
		s.mu.Unlock()
	}
}

// want waits for a line that the process reports after the lines of earlier calls.
func (s *supervised) want(line string) {
	s.t.Helper()
	mqtttest.Eventually(s.t, eventTimeout, "the process reports "+line, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := s.seen; i < len(s.messages); i++ {
			if s.messages[i] == line {
				s.seen = i + 1
				return nil
			}
		}
		return fmt.Errorf("it has reported %q", s.messages)
	})
}

// silent reports whether the process has sent no sign of life for a time.
func (s *supervised) silent(d time.Duration) bool {
	count := func() (n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, m := range s.messages {
			if m == "WATCHDOG=1" {
				n++
			}
		}
		return n
	}
	before := count()
	time.Sleep(d) // the test measures a rate
	return count() == before
}

// stop sends a signal, waits for the end, and returns the exit code, -1 after a signal.
func (s *supervised) stop(signal os.Signal, within time.Duration) int {
	s.t.Helper()
	must(s.t, s.cmd.Process.Signal(signal))
	select {
	case <-s.ended:
	case <-time.After(within):
		s.t.Fatalf("the process has not ended within %s", within)
	}
	return s.cmd.ProcessState.ExitCode()
}

// bridge returns the manifest of a bridge between two servers.
func bridge(local, remote string) string {
	return fmt.Sprintf(`apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: plant}
spec:
  local:
    primary: {url: %q}
  remote:
    primary: {url: %q}
    credentials:
      username: {secretKeyRef: {name: login}}
  localToRemote:
  - {filter: "sensors/#"}
`, local, remote)
}

// A server that is down does not delay the boot of the machine.
func TestUnit_Process_ReportsStartProgressAndEnd(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	remote.Stop()
	s := newSupervised(t)
	s.write("bridges/plant.yaml", bridge(local.URL(), remote.URL()))
	s.write("secrets/default/login/username", "plant1")
	s.start(readUnit(t), time.Second)
	s.want("READY=1")
	s.want("STATUS=bridges that forward: 0 of 1")
	s.want("WATCHDOG=1")
	remote.Start()
	s.want("STATUS=bridges that forward: 1 of 1")
	s.want("WATCHDOG=1")
	if code := s.stop(syscall.SIGTERM, eventTimeout); code != 0 {
		t.Errorf("the process ends with code %d", code)
	}
	s.want("STOPPING=1")
}

// A connector that reads its credentials from a volume that does not answer makes no progress, as in a
// deadlock. systemd then sends SIGABRT.
func TestUnit_ProcessWithoutProgress_SendsNoSignOfLife(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	s := newSupervised(t)
	s.write("bridges/plant.yaml", bridge(local.URL(), "mqtt://127.0.0.1:1"))
	login := filepath.Join(s.dir, "secrets", "default", "login")
	must(t, os.MkdirAll(login, 0o700))
	must(t, unix.Mkfifo(filepath.Join(login, "username"), 0o600)) // opening the file blocks
	s.start(readUnit(t), 400*time.Millisecond)
	s.want("WATCHDOG=1")
	mqtttest.Eventually(t, stuckTimeout, "no sign of life", func() error {
		if !s.silent(2 * time.Second) {
			return errors.New("the process still sends signs of life")
		}
		return nil
	})
	s.stop(syscall.SIGABRT, eventTimeout)
	if log := s.output.String(); !strings.Contains(log, "no progress for 30s: remote connector") || !strings.Contains(log, "SIGABRT") {
		t.Errorf("the log does not name the part, or has no stacks:\n%s", log)
	}
}

// The units of two machines, with the drop-in of the page.
func TestPeerUnit_ActiveMachineStops_OtherTakesOver(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	machines := [2]*supervised{newSupervised(t), newSupervised(t)}
	ports := [2]string{mqtttest.FreeAddress(t), mqtttest.FreeAddress(t)}
	var public [2]string
	for i, m := range machines {
		key := filepath.Join(m.dir, "credentials")
		out, err := exec.CommandContext(t.Context(), mqtttest.RunnerBinary(t), "peer-key", key).CombinedOutput()
		if err != nil {
			t.Fatalf("peer-key: %v: %s", err, out)
		}
		data, err := os.ReadFile(filepath.Join(key, "peer.pub"))
		must(t, err)
		public[i] = string(data)
		m.write("bridges/plant.yaml", bridge(local.URL(), remote.URL()))
		m.write("secrets/default/login/username", "plant1")
	}
	dropIn := read(t, "config/edge/peer.conf")
	for i, m := range machines {
		m.write("credentials/other.pub", public[1-i])
		text := strings.NewReplacer("192.0.2.2:7400", ports[1-i], "--peer-listen :7400", "--peer-listen "+ports[i]).Replace(dropIn)
		if i == 1 {
			text = strings.Replace(text, " --peer-preferred", "", 1)
		}
		u := readUnit(t)
		u.add(text)
		m.start(u, time.Second)
		m.want("READY=1")
	}
	machines[0].want("STATUS=bridges that forward: 1 of 1; this runner is Active")
	machines[1].want("STATUS=bridges that forward: 0 of 1; this runner is Standby")
	mqtttest.Eventually(t, eventTimeout, "the standby is warm", func() error { return machines[1].ready() })
	if code := machines[0].stop(syscall.SIGTERM, eventTimeout); code != 0 {
		t.Errorf("the active runner ends with code %d", code)
	}
	machines[1].want("STATUS=bridges that forward: 1 of 1; this runner is Active")
}

// ready returns an error unless /readyz of the process succeeds.
func (s *supervised) ready() error {
	response, err := http.Get("http://" + s.listen + "/readyz")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", response.Status)
	}
	return nil
}
