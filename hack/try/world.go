// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	startTimeout = 30 * time.Second
	waitTimeout  = 30 * time.Second
	pollInterval = 10 * time.Millisecond

	stream   = "try"
	username = "plant1"
	password = "an example"
)

//go:embed bridge.yaml
var manifest string

// server is a broker, or the runner.
type server struct {
	name, address string
	// role is the role in the manifest.
	role string
	// start starts the program at the address. The address stays the same.
	start func() (*process, error)

	mu      sync.Mutex
	process *process // the latest one
}

// world holds the programs and files.
type world struct {
	options
	dir, manifest string
	plant, runner *server
	cloud         []*server
	arrivals      *arrivals
	publisher     atomic.Pointer[traffic.Publisher] // nil before the first message
	state         stateReader
}

// newWorld creates the files. The caller closes the world.
func newWorld(o options) (*world, error) {
	dir, err := os.MkdirTemp("", "mqttbridge-try-")
	if err != nil {
		return nil, err
	}
	w := &world{options: o, dir: dir, manifest: filepath.Join(dir, "bridge.yaml"), arrivals: newArrivals()}
	if err := w.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return w, nil
}

func (w *world) prepare() error {
	addresses, err := freeAddresses(5)
	if err != nil {
		return err
	}
	w.plant = &server{name: "plant", role: "local, primary", address: addresses[0]}
	w.plant.start = func() (*process, error) { return w.startBroker(w.plant, nil) }
	for i, role := range []string{"remote, primary", "remote, backup 1", "remote, backup 2"} {
		s := &server{name: fmt.Sprintf("cloud-%d", i+1), role: role, address: addresses[i+1]}
		s.start = func() (*process, error) {
			return w.startBroker(s, []string{"BROKER_PASSWORD=" + password}, "--username="+username)
		}
		w.cloud = append(w.cloud, s)
	}
	w.runner = &server{name: "runner", role: "bridge-runner", address: addresses[4]}
	w.runner.start = w.startRunner
	w.state.address = w.runner.address

	replace := []string{"STABLE", strconv.Itoa(w.stableSeconds())}
	for _, s := range w.brokers() {
		replace = append(replace, strings.ToUpper(s.name)+`"`, s.address+`"`)
	}
	if err := os.WriteFile(w.manifest, []byte(strings.NewReplacer(replace...).Replace(manifest)), 0o600); err != nil {
		return err
	}
	secret := filepath.Join(w.dir, "secrets", "cloud-login")
	if err := os.MkdirAll(secret, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(secret, "password"), []byte(password), 0o600)
}

// brokers returns all servers except the runner.
func (w *world) brokers() []*server { return append([]*server{w.plant}, w.cloud...) }

func (w *world) startBroker(s *server, env []string, args ...string) (*process, error) {
	return start(s.name, filepath.Join(w.dir, s.name+".log"), env, func(line []byte) {
		if s != w.plant {
			w.arrivals.add(s.name, line)
		}
	}, w.broker, append(args, "--listen="+s.address)...)
}

func (w *world) runnerLog() string { return filepath.Join(w.dir, "runner.log") }

func (w *world) startRunner() (*process, error) {
	return start(w.runner.name, w.runnerLog(), nil, func([]byte) {}, w.options.runner,
		"--bridge="+w.manifest, "--secrets="+filepath.Join(w.dir, "secrets"), "--listen="+w.runner.address)
}

// startAll starts the brokers and the runner, and waits until the bridge uses the primary.
func (w *world) startAll(ctx context.Context) error {
	for _, s := range w.brokers() {
		if err := s.run(); err != nil {
			return err
		}
	}
	for _, s := range w.brokers() {
		if err := w.waitListening(ctx, s); err != nil {
			return err
		}
	}
	if err := w.runner.run(); err != nil {
		return err
	}
	return w.waitInUse(ctx, w.cloud[0])
}

// run starts the program of a server.
func (s *server) run() error {
	p, err := s.start()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	return nil
}

func (s *server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// waitListening waits until a broker accepts MQTT connections.
func (w *world) waitListening(ctx context.Context, s *server) error {
	return w.waitFor(ctx, s, "accept connections at "+s.address, func(ctx context.Context) bool {
		conn, err := traffic.TCP(s.address)(ctx)
		return err == nil && conn.Close() == nil
	})
}

// waitInUse waits until the runner reports a remote server as the server in use.
func (w *world) waitInUse(ctx context.Context, s *server) error {
	return w.waitFor(ctx, w.runner, "connect to "+s.name, func(ctx context.Context) bool {
		return w.state.read(ctx).inUse() == s.name
	})
}

// waitFor waits until ok returns true, and fails if the server's program ends before.
func (w *world) waitFor(ctx context.Context, s *server, what string, ok func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		running := s.current().running()
		if ok(ctx) {
			return nil
		}
		if !running {
			return s.current().failed(fmt.Sprintf("%s has ended before it could %s", s.name, what))
		}
		if err := pause(ctx, pollInterval); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return s.current().failed(fmt.Sprintf("%s did not %s within %s", s.name, what, startTimeout))
			}
			return err
		}
	}
}

// close ends all programs and removes the files.
func (w *world) close() error {
	if p := w.publisher.Load(); p != nil {
		p.Close()
	}
	var errs []error
	for _, s := range append([]*server{w.runner}, w.brokers()...) {
		if p := s.current(); p != nil {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// pause waits for a duration, or until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
