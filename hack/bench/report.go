// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// report is one run of the bench with all its figures.
type report struct {
	Date     string   `json:"date"`
	Machine  machine  `json:"machine"`
	Versions versions `json:"versions"`
	Rounds   int      `json:"rounds"`
	// PhaseSeconds is the length of the measurement in each phase.
	PhaseSeconds float64       `json:"phaseSeconds"`
	Measurements []measurement `json:"measurements"`
}

type machine struct {
	CPU         string `json:"cpu"`
	Processors  int    `json:"processors"`
	MemoryBytes int64  `json:"memoryBytes"`
	System      string `json:"system"`
	Kernel      string `json:"kernel"`
	// Load is the load average over one minute before the run.
	Load string `json:"loadAverageBefore"`
}

type versions struct {
	Checkout  string `json:"checkout"`
	RunnerGo  string `json:"runnerGo"`
	RunnerEnv string `json:"runnerEnv,omitempty"`
	BenchGo   string `json:"benchGo"`
	Mosquitto string `json:"mosquitto"`
}

// newReport reads the properties of the machine and the versions. A property that cannot be read
// stays empty.
func newReport(o options) (*report, error) {
	r := &report{
		Date: time.Now().UTC().Format(time.RFC3339),
		Machine: machine{
			CPU:        field("/proc/cpuinfo", "model name"),
			Processors: runtime.NumCPU(),
			System:     strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`),
			Kernel:     firstWord("/proc/sys/kernel/osrelease"),
			Load:       firstWord("/proc/loadavg"),
		},
		Versions:     versions{RunnerEnv: o.env, BenchGo: runtime.Version()},
		Rounds:       o.rounds,
		PhaseSeconds: o.length.Seconds(),
	}
	if kib, err := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		r.Machine.MemoryBytes = kib << 10
	}
	info, err := buildinfo.ReadFile(o.runner)
	if err != nil {
		return nil, fmt.Errorf("-runner %s: %w; build it with `make build`", o.runner, err)
	}
	r.Versions.RunnerGo = info.GoVersion
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		r.Versions.Checkout = string(bytes.TrimSpace(out))
	}
	help, err := exec.Command("mosquitto", "-h").Output()
	if len(help) == 0 {
		return nil, fmt.Errorf("mosquitto does not run; install it, the bench uses it as peer and as brokers: %w", err)
	}
	line, _, _ := bytes.Cut(help, []byte{'\n'}) // the exit code is 3 for help
	r.Versions.Mosquitto = strings.TrimPrefix(string(line), "mosquitto version ")
	return r, nil
}

// field returns the value of the first line of the form "name: value" or "name=value".
func field(file, name string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, "\t :="))
		}
	}
	return ""
}

func firstWord(file string) string {
	data, err := os.ReadFile(file)
	if words := strings.Fields(string(data)); err == nil && len(words) > 0 {
		return words[0]
	}
	return ""
}

// write writes JSON with one line per measurement, so that diffs are readable.
func (r *report) write(file string) error {
	head := *r
	head.Measurements = []measurement{}
	data, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return err
	}
	data = bytes.TrimSuffix(data, []byte("]\n}"))
	for i, m := range r.Measurements {
		row, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if i > 0 {
			data = append(data, ',')
		}
		data = append(append(data, "\n    "...), row...)
	}
	return os.WriteFile(file, append(data, "\n  ]\n}\n"...), 0o644)
}

func readReport(file string) (*report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}
