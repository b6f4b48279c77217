// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// operator is a running process of the operator.
type operator struct {
	*process
	metrics string // the URL
	token   string
	http    *http.Client
}

// buildOperator builds the operator and returns the file.
func buildOperator(ctx context.Context, dir string) (string, error) {
	out := filepath.Join(dir, "manager")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, ".")
	cmd.Dir = apiserver.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the operator: %w\n%s", err, text)
	}
	return out, nil
}

// startOperator starts the operator. Its log is appended to a file in dir.
func (c *cluster) startOperator(program, dir, runnerImage string, memory int64) (*operator, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	_ = listener.Close() // the operator listens there
	args := []string{
		"--runner-image=" + runnerImage, "--leader-elect", "--leader-election-namespace=" + systemNamespace,
		"--metrics-bind-address=" + address, "--health-probe-bind-address=0",
	}
	if memory > 0 {
		args = append(args, "--memory-limit="+strconv.FormatInt(memory, 10))
	}
	p, err := startProcess(filepath.Join(dir, "operator.log"), c.kubeconfig, program, args...)
	if err != nil {
		return nil, fmt.Errorf("starting the operator: %w", err)
	}
	return &operator{
		process: p,
		metrics: "https://" + address + "/metrics",
		token:   c.metricsToken,
		http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			// The certificate is self-signed, and the connection does not leave the machine.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		}},
	}, nil
}

// work is the work that the operator has done since its start.
type work struct {
	passes float64
	queued float64 // bridges that wait for a pass, or have one
}

// work reads the metrics of the operator.
func (p *operator) work(ctx context.Context) (work, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics, http.NoBody)
	if err != nil {
		return work{}, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := p.http.Do(req)
	if err != nil {
		return work{}, fmt.Errorf("reading the metrics of the operator: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return work{}, fmt.Errorf("reading the metrics of the operator: %s", resp.Status)
	}
	var w work
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case strings.HasPrefix(name, "controller_runtime_reconcile_total{"):
			w.passes += n
		case strings.HasPrefix(name, "workqueue_depth{"), strings.HasPrefix(name, "controller_runtime_active_workers{"):
			w.queued += n
		}
	}
	return w, lines.Err()
}

// usage is the memory and the processor time of a process.
type usage struct {
	resident, peak int64 // bytes, with the pages of the program
	heap           int64 // bytes, without the pages of the program
	cpu            time.Duration
}

// usage reads the usage of the operator, and starts a new measurement of the peak.
func (p *operator) usage() (usage, error) {
	var u usage
	dir := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return u, fmt.Errorf("the operator has ended: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kibibytes, _ := strconv.ParseInt(fields[1], 10, 64) // other lines have no number
		switch fields[0] {
		case "VmRSS:":
			u.resident = kibibytes << 10
		case "VmHWM:":
			u.peak = kibibytes << 10
		case "RssAnon:":
			u.heap = kibibytes << 10
		}
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	const user, system, tick = 11, 12, 10 * time.Millisecond
	for _, field := range []int{user, system} {
		ticks, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return u, fmt.Errorf("reading the processor time: %w", err)
		}
		u.cpu += time.Duration(ticks) * tick
	}
	return u, os.WriteFile(filepath.Join(dir, "clear_refs"), []byte("5"), 0)
}
