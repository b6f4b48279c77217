// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outages makes a running bridge lose its active server in every possible way, and checks
// the guarantees of docs/failure-modes.md: the time until the loss is detected, the reason, the
// time without an arrival, that no message is lost, that order is kept, and that a message arrives
// twice only because of a switch.
//
// The brokers are Mosquitto, behind toxiproxy. nftables drops packets: the tests run in a separate
// network namespace with its own firewall and name server, and leave nothing behind. If the system
// does not permit a namespace, the tests list the skipped rows; for root on Linux they fail.
//
// A control stream passes a broker of its own, and no bridge. While it is silent, the machine stands still. The
// bounds apply to the rest of a time, its own time, so that a machine with two processors can run the tests.
//
// All rows are in one table, which is printed at the end if go test shows the output of passing
// tests: make outages. By default each row has both QoS together and one MQTT version; -full tests
// each of them separately and runs the long scenarios at their full length.
package outages

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var full = flag.Bool("full", false, "test each QoS and version separately, and run the long scenarios at their full length")

// testsAtOnce is the number of bridges that run in parallel. They wait most of the time.
const testsAtOnce = "10"

const (
	// eventTimeout is for events that take milliseconds on an idle machine.
	eventTimeout = 20 * time.Second
	// drainTimeout is longer than the rest of a stream needs to arrive.
	drainTimeout = 40 * time.Second
)

// toxiproxyEnv names the proxy program, which is built before the namespace is entered.
const toxiproxyEnv = "MQTTBRIDGE_TOXIPROXY"

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "outages:", err)
		code = 1
	}
	os.Exit(code)
}

// run builds the programs and runs the tests, in a namespace if possible.
func run(m *testing.M) (int, error) {
	if isolated() {
		if err := furnish(); err != nil {
			return 1, err
		}
		return runTests(m)
	}
	dir, err := os.MkdirTemp("", "outages")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := build(dir); err != nil {
		return 1, err
	}
	code, entered, err := isolate()
	if entered || err != nil {
		return code, err
	}
	return runTests(m)
}

func runTests(m *testing.M) (int, error) {
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		return 1, err
	}
	code := m.Run()
	results.print(os.Stdout)
	return code, nil
}

// build builds the runner, as it is released, and the proxy. It runs outside of the namespace,
// which has no network to download modules.
func build(dir string) error {
	for _, program := range []struct{ env, directory, pkg string }{
		{mqtttest.RunnerEnv, ".", "github.com/mqttbridge/mqttbridge-operator/bridge-runner"},
		{toxiproxyEnv, "../../hack/tools/toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server"},
	} {
		if os.Getenv(program.env) != "" {
			continue
		}
		path := filepath.Join(dir, program.env)
		cmd := exec.Command("go", "build", "-o", path, program.pkg)
		cmd.Dir, cmd.Env = program.directory, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", program.pkg, err, out)
		}
		if err := os.Setenv(program.env, path); err != nil {
			return err
		}
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
