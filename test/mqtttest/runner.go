// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Runner is a bridge-runner process.
type Runner struct {
	t        testing.TB
	name     string
	flag     string // the flag that names the manifest
	manifest string
	dir      string // of the Secrets and ConfigMaps
	listen   string
	race     bool // build the runner with the race detector
	args     []string
	env      []string // additional environment variables
	process  *process
	starts   int
}

// NewRunner writes the manifest and creates the directories for Secrets and ConfigMaps. It does not
// start the runner.
func NewRunner(t testing.TB, bridge *v1alpha1.MQTTBridge) *Runner {
	t.Helper()
	data := render(t, bridge)
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return newRunner(t, bridge.Name, path)
}

// render returns the manifest of a bridge. Servers without a name are called primary, backup-1,
// backup-2 and so on, so that tests need not know their ports.
func render(t testing.TB, bridge *v1alpha1.MQTTBridge) []byte {
	t.Helper()
	b := bridge.DeepCopy()
	for _, side := range []*v1alpha1.Side{&b.Spec.Local, &b.Spec.Remote} {
		side.Primary.Name = cmp.Or(side.Primary.Name, "primary")
		for i := range side.Backups {
			side.Backups[i].Name = cmp.Or(side.Backups[i].Name, fmt.Sprintf("backup-%d", i+1))
		}
	}
	data, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Prefer sets the preferred server of a side, which is a side of the bridge, in the manifest of a
// runner that was started with [StartRunner]. If preferred is nil, it removes the preferred server.
// The running process applies the change. The generation of the manifest grows, as on an API server.
func (r *Runner) Prefer(bridge *v1alpha1.MQTTBridge, side *v1alpha1.Side, preferred *v1alpha1.PreferredServer) {
	r.t.Helper()
	side.PreferredServer = preferred
	r.Update(bridge)
}

// Update replaces the manifest of a runner that was started with [StartRunner]. The running process
// applies the settings that it can apply. The generation of the manifest grows, as on an API server.
func (r *Runner) Update(bridge *v1alpha1.MQTTBridge) {
	r.t.Helper()
	bridge.Generation++
	r.replaceManifest(bridge)
}

func (r *Runner) replaceManifest(bridge *v1alpha1.MQTTBridge) {
	r.t.Helper()
	data := render(r.t, bridge)
	next := r.manifest + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, r.manifest); err != nil {
		r.t.Fatal(err)
	}
}

func newRunner(t testing.TB, name, manifest string) *Runner {
	t.Helper()
	return &Runner{t: t, name: name, flag: "--bridge", manifest: manifest, dir: t.TempDir(), listen: address(FreePort(t))}
}

// StartRunner starts a runner with the manifest and waits until it serves its status. The runner
// may not be connected by then.
func StartRunner(t testing.TB, bridge *v1alpha1.MQTTBridge) *Runner {
	t.Helper()
	r := NewRunner(t, bridge)
	r.Start()
	return r
}

// NewRaceRunner is like NewRunner, but the runner has the race detector. A detected race fails the
// test.
func NewRaceRunner(t testing.TB, bridge *v1alpha1.MQTTBridge) *Runner {
	t.Helper()
	r := NewRunner(t, bridge)
	r.race = true
	return r
}

// StartRaceRunner is like StartRunner, but the runner has the race detector, as with NewRaceRunner.
func StartRaceRunner(t testing.TB, bridge *v1alpha1.MQTTBridge) *Runner {
	t.Helper()
	r := NewRaceRunner(t, bridge)
	r.Start()
	return r
}

// StartRunnerWith starts a runner with the manifest at the given path.
func StartRunnerWith(t testing.TB, manifest string) *Runner {
	t.Helper()
	r := newRunner(t, filepath.Base(manifest), manifest)
	r.Start()
	return r
}

// SetFile writes a key of a Secret or ConfigMap atomically, as the kubelet does.
func (r *Runner) SetFile(object, key, value string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, "secrets", object)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	next := filepath.Join(r.dir, "next")
	if err := os.WriteFile(next, []byte(value), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, key)); err != nil {
		r.t.Fatal(err)
	}
}

// URL returns the URL of a path of the runner's HTTP server.
func (r *Runner) URL(path string) string { return "http://" + r.listen + path }

// Address returns the address on which the runner serves its status and its metrics.
func (r *Runner) Address() string { return r.listen }

// SetEnv adds environment variables, such as NAME=value, from the next start on.
func (r *Runner) SetEnv(env ...string) { r.env = append(r.env, env...) }

// AddFlags adds flags of the program, such as --name=value, from the next start on.
func (r *Runner) AddFlags(flags ...string) { r.args = append(r.args, flags...) }

// DataDir returns the directory of the runner's buffer on disk. It outlives the process.
func (r *Runner) DataDir() string { return filepath.Join(r.dir, "data") }

const (
	runnerStartTimeout = 15 * time.Second
	// runnerStopTimeout is longer than the longest drain.
	runnerStopTimeout = 30 * time.Second
)

// Start starts the process, also after a previous process has ended.
func (r *Runner) Start() {
	r.t.Helper()
	r.starts++
	build := RunnerBinary
	if r.race {
		build = RaceRunnerBinary
	}
	r.process = startProcessWith(r.t, r.env, fmt.Sprintf("runner-%s-%d", r.name, r.starts), build(r.t),
		append([]string{r.flag, r.manifest, "--secrets", filepath.Join(r.dir, "secrets"), "--data", r.DataDir(), "--listen", r.listen}, r.args...)...)
	if r.race {
		r.failOnRace(r.process)
	}
	r.t.Cleanup(r.showState(r.process))
	Eventually(r.t, runnerStartTimeout, "the runner serves its status", func() error {
		if !r.process.running() {
			r.t.Fatalf("the runner ended during its start:\n%s", r.process.tail())
		}
		_, err := r.get("/status")
		return err
	})
}

// failOnRace makes the test fail at its end if the race detector has reported a race.
func (r *Runner) failOnRace(p *process) {
	r.t.Cleanup(func() {
		if p.running() {
			p.kill()
		}
		const finding = "WARNING: DATA RACE"
		if _, found, ok := strings.Cut(p.output(), finding); ok {
			r.t.Errorf("%s: %s%.3000s", p.name, finding, found)
		}
	})
}

// Kill ends the runner with SIGKILL.
func (r *Runner) Kill() time.Time {
	r.t.Helper()
	return r.process.kill()
}

// Freeze stops the process with SIGSTOP.
func (r *Runner) Freeze() {
	r.t.Helper()
	r.process.signal(syscall.SIGSTOP)
}

// Thaw continues a frozen process.
func (r *Runner) Thaw() {
	r.t.Helper()
	r.process.signal(syscall.SIGCONT)
}

// Terminate sends SIGTERM and returns the exit code and the time until the process ended.
func (r *Runner) Terminate() (code int, took time.Duration) {
	r.t.Helper()
	began := time.Now()
	r.Stop()
	return r.process.wait(runnerStopTimeout), time.Since(began)
}

// Stop sends SIGTERM, and does not wait.
func (r *Runner) Stop() {
	r.t.Helper()
	r.process.signal(syscall.SIGTERM)
}

// Wait waits until the process has ended, and returns the exit code.
func (r *Runner) Wait() (code int) {
	r.t.Helper()
	return r.process.wait(runnerStopTimeout)
}

// Stacks ends the process with SIGQUIT and returns the stacks of its goroutines.
func (r *Runner) Stacks() string {
	r.t.Helper()
	r.process.signal(syscall.SIGQUIT)
	r.process.wait(runnerStopTimeout)
	_, stacks, _ := strings.Cut(r.Log(), "SIGQUIT")
	return stacks
}

// Running reports whether the process runs.
func (r *Runner) Running() bool { return r.process.running() }

// Log returns the standard output and error of the latest process.
func (r *Runner) Log() string { return r.process.output() }

// CPU returns the processor time that the process has used since its start.
func (r *Runner) CPU() time.Duration { return r.process.cpu() }

// ResidentBytes returns the resident memory of the process.
func (r *Runner) ResidentBytes() int64 { return r.process.residentBytes() }

// OpenFiles returns the number of open file descriptors of the process.
func (r *Runner) OpenFiles() int { return r.process.openFiles() }

// Status reads /status.
func (r *Runner) Status() (v1alpha1.MQTTBridgeStatus, error) {
	var s v1alpha1.MQTTBridgeStatus
	body, err := r.get("/status")
	if err != nil {
		return s, err
	}
	err = json.Unmarshal(body, &s)
	return s, err
}

// WaitStatus waits until ok returns nil for the status, and returns that status.
func (r *Runner) WaitStatus(timeout time.Duration, what string, ok func(v1alpha1.MQTTBridgeStatus) error) v1alpha1.MQTTBridgeStatus {
	r.t.Helper()
	var last v1alpha1.MQTTBridgeStatus
	Eventually(r.t, timeout, what, func() error {
		s, err := r.Status()
		if err != nil {
			return err
		}
		last = s
		return ok(s)
	})
	return last
}

// WaitActive waits until both sides are connected, the remote side to the server with the given
// name.
func (r *Runner) WaitActive(remote string, timeout time.Duration) v1alpha1.MQTTBridgeStatus {
	r.t.Helper()
	return r.WaitStatus(timeout, "connected to "+remote, func(s v1alpha1.MQTTBridgeStatus) error { return connected(&s, remote) })
}

// Connected returns an error unless both sides are connected, the remote side to the server with the given name.
func (r *Runner) Connected(remote string) error {
	s, err := r.Status()
	if err != nil {
		return err
	}
	return connected(&s, remote)
}

func connected(s *v1alpha1.MQTTBridgeStatus, remote string) error {
	return errors.Join(active(s.Local, "local", ""), active(s.Remote, "remote", remote))
}

func active(s *v1alpha1.SideStatus, side, name string) error {
	switch {
	case s == nil || s.Active == nil:
		return fmt.Errorf("%s: no server is connected: %s", side, servers(s))
	case name != "" && s.Active.Name != name:
		return fmt.Errorf("%s: %s is connected: %s", side, s.Active.Name, servers(s))
	}
	return nil
}

func servers(s *v1alpha1.SideStatus) string {
	if s == nil {
		return "no status"
	}
	data, _ := json.Marshal(s.Servers)
	return string(data)
}

// showState returns a function that logs, after a failed test, how far the messages have come.
func (r *Runner) showState(p *process) func() {
	return func() {
		if !r.t.Failed() || !p.running() {
			return
		}
		body, err := r.get("/metrics")
		if err != nil {
			r.t.Logf("%s: the metrics cannot be read: %v", p.name, err)
		}
		for line := range strings.Lines(string(body)) {
			if strings.HasPrefix(line, "mqttbridge_") && !strings.HasSuffix(line, " 0\n") {
				r.t.Logf("%s: %s", p.name, line)
			}
		}
	}
}

// Scrape returns the text of /metrics.
func (r *Runner) Scrape() string {
	r.t.Helper()
	body, err := r.get("/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// Metrics scrapes /metrics.
func (r *Runner) Metrics() Metrics {
	r.t.Helper()
	m, err := ParseMetrics(r.Scrape())
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// Probe requests /livez or /readyz and returns the HTTP status code.
func (r *Runner) Probe(path string) int {
	r.t.Helper()
	response, err := httpClient.Get(r.URL(path))
	if err != nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

var httpClient = &http.Client{Timeout: 5 * time.Second}

func (r *Runner) get(path string) ([]byte, error) {
	response, err := httpClient.Get(r.URL(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return body, nil
}
