// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	root = "../.."

	// testTimeout includes the time to compile the programs.
	testTimeout = 4 * time.Minute
)

// trial is a run of make try.
type trial struct {
	t         *testing.T
	cmd       *exec.Cmd
	lines     chan string // closed at the end of the output
	output    strings.Builder
	manifest  string
	shown     time.Time // when the output named the manifest: the programs are built
	addresses []string  // of all programs
	pages     int       // that were read
}

// startTrial executes the first command of the README in a process group of its own, as a shell does.
func startTrial(t *testing.T, flags string) *trial {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```sh\n")
	command, _, _ := strings.Cut(text, "```")
	if command = strings.TrimSpace(command); command != "make try" {
		t.Fatalf("the first command of README.md is %q, want make try", command)
	}
	r := &trial{t: t, cmd: exec.Command("sh", "-c", "exec "+command), lines: make(chan string, 1000)}
	r.cmd.Dir = root
	r.cmd.Env = append(os.Environ(), "TRY_FLAGS="+flags)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr = write, write
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	timer := time.AfterFunc(testTimeout, func() { _ = r.signal(syscall.SIGKILL) })
	t.Cleanup(func() {
		timer.Stop()
		_ = r.signal(syscall.SIGKILL) // it has ended, unless the test has failed
	})
	go func() {
		defer close(r.lines)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			r.lines <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, read)
	}()
	return r
}

// signal sends a signal to the process group, as a terminal does for Ctrl-C.
func (r *trial) signal(s syscall.Signal) error { return syscall.Kill(-r.cmd.Process.Pid, s) }

var (
	manifestLine = regexp.MustCompile(`The manifest of the bridge is (\S+)`)
	pageLine     = regexp.MustCompile(`The page of the bridge is +(http://\S+)`)
	commandLine  = regexp.MustCompile(`^ {4}((?:curl|kill) .*)`)
	addressText  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// until reads the output until a line contains the text, and executes the commands that the output
// proposes. It returns the output of these commands.
func (r *trial) until(text string) (executed string) {
	r.t.Helper()
	for line := range r.lines {
		r.output.WriteString(line + "\n")
		if found := manifestLine.FindStringSubmatch(line); found != nil {
			r.manifest, r.shown = found[1], time.Now()
			content, err := os.ReadFile(r.manifest)
			if err != nil {
				r.t.Fatal(err)
			}
			r.addresses = append(r.addresses, addressText.FindAllString(string(content), -1)...)
		}
		if found := pageLine.FindStringSubmatch(line); found != nil {
			r.checkPage(found[1])
		}
		if found := commandLine.FindStringSubmatch(line); found != nil {
			r.addresses = append(r.addresses, addressText.FindAllString(line, -1)...)
			out, err := exec.Command("sh", "-c", found[1]).CombinedOutput()
			if err != nil {
				r.t.Fatalf("%s: %v\n%s", found[1], err, out)
			}
			executed += string(out)
		}
		if strings.Contains(line, text) {
			return executed
		}
	}
	r.t.Fatalf("the output ends without %q:\n%s", text, r.output.String())
	return ""
}

// checkPage checks that the page shows the bridge.
func (r *trial) checkPage(url string) {
	r.t.Helper()
	response, err := http.Get(url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(page), "cloud-1") {
		r.t.Errorf("%s: %s, %v:\n%s", url, response.Status, err, page)
	}
	r.pages++
}

// end reads the rest of the output, and checks that no program and no file is left.
func (r *trial) end() error {
	r.t.Helper()
	for line := range r.lines {
		r.output.WriteString(line + "\n")
	}
	err := r.cmd.Wait()
	if _, err := os.Stat(filepath.Dir(r.manifest)); !os.IsNotExist(err) {
		r.t.Errorf("the directory of %s still exists (%v)", r.manifest, err)
	}
	slices.Sort(r.addresses)
	if r.addresses = slices.Compact(r.addresses); len(r.addresses) != 5 {
		r.t.Errorf("the manifest and the commands name %q, want the addresses of 5 programs", r.addresses)
	}
	for _, address := range r.addresses {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			r.t.Errorf("a program still listens on %s", address)
		}
	}
	return err
}

// result returns a number of the summary.
func (r *trial) result(name string) int {
	r.t.Helper()
	found := regexp.MustCompile(`(?m)^  ` + name + ` +(\d+)`).FindStringSubmatch(r.output.String())
	if found == nil {
		r.t.Fatalf("the summary has no %s:\n%s", name, r.output.String())
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *trial) checkNothingLost() {
	r.t.Helper()
	sent, arrived, lost := r.result("sent"), r.result("arrived"), r.result("lost")
	if sent < 500 || arrived < sent || lost != 0 {
		r.t.Errorf("sent %d, arrived %d, lost %d; want at least 500 sent, and none lost:\n%s", sent, arrived, lost, r.output.String())
	}
}

func TestTry_ServersAndRunnerKilled_NothingIsLostInAMinute(t *testing.T) {
	r := startTrial(t, "")
	executed := r.until("killing the primary")
	if r.pages != 1 {
		t.Errorf("%d pages were read, want 1:\n%s", r.pages, r.output.String())
	}
	for _, want := range []string{`"cloud-3"`, "mqttbridge_messages_forwarded_total"} {
		if !strings.Contains(executed, want) {
			t.Errorf("the proposed commands do not print %s:\n%s", want, executed)
		}
	}
	for _, step := range []string{
		"messages arrive through the first backup, cloud-2; gap ",
		"starting cloud-1 again",
		"messages arrive through cloud-1 again; gap ",
		"killing all remote servers",
		"starting the remote servers again",
		"messages arrive again, first the messages that have waited; gap ",
		"killing the runner",
		"starting the runner again",
		"messages arrive again, first the messages that have waited; gap ",
	} {
		r.until(step)
	}
	if err := r.end(); err != nil {
		t.Errorf("make try: %v\n%s", err, r.output.String())
	}
	if took := time.Since(r.shown); took > time.Minute {
		t.Errorf("make try took %s after its build, want at most a minute", took)
	}
	r.checkNothingLost()
	if gap := r.result("gap"); gap > 1000 {
		t.Errorf("the failover took %d ms", gap)
	}
}

func TestTry_Interrupted_NothingRemains(t *testing.T) {
	r := startTrial(t, "--quick")
	r.until("killing the primary")
	if err := r.signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); err == nil {
		t.Error("make try succeeded after an interrupt")
	}
	if !strings.Contains(r.output.String(), "try: interrupted; all programs are ended") {
		t.Errorf("the output does not mention the interrupt:\n%s", r.output.String())
	}
}

func TestTry_KeepAndServerKilled_StartsItAgain(t *testing.T) {
	r := startTrial(t, "--quick --keep")
	for _, step := range []string{"sending continues until Ctrl-C", "cloud-1 has ended", "starting cloud-1 again"} {
		r.until(step)
	}
	if err := r.signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = r.end() // make reports the signal
	r.checkNothingLost()
}
