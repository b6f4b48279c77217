// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package edge tests the operation of the runner without Kubernetes: the systemd unit, the container, and the
// commands of docs/guides/edge.md. With the tag e2e, as root on Linux, a real systemd runs the unit.
package edge

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

const (
	root     = "../.."
	unitName = "mqttbridge-runner.service"
)

func TestMain(m *testing.M) {
	code := m.Run()
	mqtttest.RemoveRunnerBinary()
	os.Exit(code)
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unit has the values of each setting of a unit, by "Section.Setting".
type unit map[string][]string

// readUnit returns the unit with the given drop-ins.
func readUnit(t *testing.T, dropIns ...string) unit {
	t.Helper()
	u := unit{}
	for _, name := range append([]string{unitName}, dropIns...) {
		u.add(read(t, filepath.Join("config", "edge", name)))
	}
	return u
}

// add adds the settings of a file. An empty value removes the earlier values, as in systemd.
func (u unit) add(text string) {
	section := ""
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			name, value, _ := strings.Cut(line, "=")
			name = section + "." + name
			if value == "" {
				u[name] = nil
				continue
			}
			u[name] = append(u[name], value)
		}
	}
}

// one returns the only value of a setting.
func (u unit) one(t *testing.T, name string) string {
	t.Helper()
	if len(u[name]) != 1 {
		t.Fatalf("%s has the values %q, want one", name, u[name])
	}
	return u[name][0]
}

// command returns the arguments of ExecStart, without the program. credentials is the directory of
// LoadCredential.
func (u unit) command(t *testing.T, credentials string) (program string, arguments []string) {
	t.Helper()
	var further string
	for _, e := range u["Service.Environment"] {
		if name, value, _ := strings.Cut(strings.Trim(e, `"`), "="); name == "MQTTBRIDGE_ARGS" {
			further = strings.ReplaceAll(value, "%d", credentials)
		}
	}
	words := strings.Fields(strings.ReplaceAll(u.one(t, "Service.ExecStart"), "$MQTTBRIDGE_ARGS", further))
	return words[0], words[1:]
}

// installed copies the unit into a directory, with the program that the tests have built, and returns its path.
func installed(t *testing.T, dropIns ...string) string {
	t.Helper()
	dir := t.TempDir()
	program, _ := readUnit(t).command(t, "")
	text := strings.Replace(read(t, "config/edge/"+unitName), "ExecStart="+program, "ExecStart="+mqtttest.RunnerBinary(t), 1)
	path := filepath.Join(dir, unitName)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	for _, name := range dropIns {
		must(t, os.MkdirAll(path+".d", 0o700))
		must(t, os.WriteFile(filepath.Join(path+".d", name), []byte(read(t, "config/edge/"+name)), 0o600))
	}
	return path
}

func TestUnit_SystemdAnalyze_FindsNoMistake(t *testing.T) {
	for name, dropIns := range map[string][]string{"alone": nil, "one of two": {"peer.conf"}} {
		t.Run(name, func(t *testing.T) {
			path := installed(t, dropIns...)
			cmd := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", path)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), unitName) {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
		})
	}
}

// systemd-analyze security estimates the exposure from 0 (none) to 10.
func TestUnit_Exposure_IsLow(t *testing.T) {
	const limit = "20" // 2.0; a service without any setting has 9.6
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+limit, installed(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// The times of the unit fit the program: a drain, and the sessions that a deletion ends, need 10 seconds each; the
// watchdog of the program finds a part that makes no progress after 30 seconds.
func TestUnit_Times_FitTheProgram(t *testing.T) {
	u := readUnit(t)
	for name, least := range map[string]time.Duration{"Service.TimeoutStopSec": 25 * time.Second, "Service.WatchdogSec": 40 * time.Second} {
		seconds, err := strconv.Atoi(u.one(t, name))
		must(t, err)
		if got := time.Duration(seconds) * time.Second; got < least || got > 2*time.Minute {
			t.Errorf("%s is %s, want from %s to 2m", name, got, least)
		}
	}
	if u.one(t, "Unit.StartLimitIntervalSec") != "0" || u.one(t, "Service.Restart") != "always" || len(u["Service.RestartPreventExitStatus"]) > 0 {
		t.Error("systemd does not start the process again without a limit, and after each exit code")
	}
}

// The container has the arguments and directories of the unit, and of the page's command.
func TestContainer_Settings_AreThoseOfTheUnit(t *testing.T) {
	run, compose := dockerRun(t), composeFile(t)
	if !run.equal(compose) {
		t.Errorf("the page's command and compose.yaml differ:\n%+v\n%+v", run, compose)
	}
	_, arguments := readUnit(t).command(t, "")
	for i := 0; i < len(arguments); i += 2 {
		if arguments[i] == "--listen" { // a container has a network of its own
			continue
		}
		if want := arguments[i] + "=" + arguments[i+1]; !slices.Contains(run.arguments, want) {
			t.Errorf("the container has the arguments %q, want %s", run.arguments, want)
		}
	}
}
