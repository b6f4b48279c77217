// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// machine is a systemd in namespaces of its own, with this machine's network and a view of its files.
type machine struct {
	t        *testing.T
	checkout string // the directory of the commands, with bin/bridge-runner as after the commands of the page's section Files
	listen   string // replaces 127.0.0.1:8080
	pid      int    // of systemd
}

const bootTimeout = 30 * time.Second

// boot starts the systemd. It ends with the test.
func boot(t *testing.T) *machine {
	t.Helper()
	checkout, err := filepath.Abs(root)
	must(t, err)
	m := &machine{t: t, checkout: checkout, listen: mqtttest.FreeAddress(t)}
	group := newControlGroup(t)
	// The shell enters the control group first, so that it is the root of the new namespace.
	const script = `echo $$ > "$1/cgroup.procs" && exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child --propagation=private sh testdata/boot.sh "$2"`
	cmd := exec.Command("sh", "-c", script, "boot", group, t.TempDir())
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() {
		if t.Failed() && m.pid > 0 {
			journal, _ := m.try("journalctl --no-pager --lines=60; systemctl status --no-pager --full " + unitName)
			t.Logf("the journal:\n%s", journal)
		}
		if m.pid > 0 {
			_ = syscall.Kill(m.pid, syscall.SIGKILL) // the first process of its namespace: all others end with it
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("systemd:\n%s", &console)
		}
	})
	mqtttest.Eventually(t, bootTimeout, "systemd runs", func() error {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil {
			return err
		}
		fields := strings.Fields(string(children))
		if len(fields) != 1 {
			return fmt.Errorf("unshare has the children %q", children)
		}
		if m.pid, err = strconv.Atoi(fields[0]); err != nil {
			return err
		}
		_, err = m.try("systemctl list-units --no-pager >/dev/null && systemctl is-active systemd-journald.service")
		return err
	})
	m.run("sed -i 's/127[.]0[.]0[.]1:8080/" + m.listen + "/' config/edge/" + unitName)
	m.run(`mkdir -p bin && cp "$RUNNER" bin/bridge-runner`)
	return m
}

// newControlGroup returns a new control group of version 2.
func newControlGroup(t *testing.T) string {
	t.Helper()
	base := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(base, "unified")); err == nil {
		base = filepath.Join(base, "unified")
	}
	dir, err := os.MkdirTemp(base, "mqttbridge-edge-")
	must(t, err)
	t.Cleanup(func() {
		// systemd has made groups in it, which are empty when its processes have ended.
		mqtttest.Eventually(t, bootTimeout, "the control groups are empty", func() error { return removeGroups(dir) })
	})
	return dir
}

func removeGroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroups(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return syscall.Rmdir(dir)
}

// stubs replace programs that need other machines.
const stubs = `
scp() { bridge-runner peer-key /tmp/other >/dev/null && cp /tmp/other/peer.pub /etc/mqttbridge/other.pub; }
`

// try runs commands of the page in the checkout on the machine.
func (m *machine) try(commands string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.t.Context()), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(m.pid), "--mount", "--pid", "--uts", "--ipc", "--cgroup",
		"sh", "-euc", "cd "+m.checkout+"\n"+stubs+strings.ReplaceAll(commands, "127.0.0.1:8080", m.listen))
	cmd.Env = append(os.Environ(), "RUNNER="+mqtttest.RunnerBinary(m.t), "SYSTEMD_PAGER=", "HOME=/root")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", commands, err, out)
	}
	return string(out), err
}

func (m *machine) run(commands string) string {
	m.t.Helper()
	out, err := m.try(commands)
	must(m.t, err)
	return out
}

// wait waits until the output of commands contains a text.
func (m *machine) wait(commands, want string) {
	m.t.Helper()
	mqtttest.Eventually(m.t, eventTimeout, commands+" prints "+want, func() error {
		out, err := m.try(commands)
		if err == nil && !strings.Contains(out, want) {
			err = errors.New(out)
		}
		return err
	})
}

// property returns a property of the unit.
func (m *machine) property(name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.run("systemctl show --property=" + name + " --value " + unitName))
}

// write writes a file of the machine.
func (m *machine) write(name, text string) {
	m.t.Helper()
	m.run("mkdir -p \"$(dirname " + name + ")\" && cat > " + name + " <<'END'\n" + strings.TrimSuffix(text, "\n") + "\nEND")
}

// dropIn adds settings to the unit.
func (m *machine) dropIn(settings string) {
	m.t.Helper()
	m.write("/etc/systemd/system/"+unitName+".d/test.conf", "[Service]\n"+settings)
	m.run("systemctl daemon-reload")
}
