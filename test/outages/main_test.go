// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outages takes the server in use away from a running bridge in every way in
// which one can be lost, and holds the bridge to what docs/failure-modes.md says of it:
// how soon the loss is noticed, for which reason, how long nothing arrives, that nothing
// is lost, that order is kept, and that nothing comes twice but by a switch.
//
// Brokers are Mosquitto, behind toxiproxy. Packets are dropped by nftables: the tests run
// in a network namespace of their own, whose firewall and name server are theirs, and
// which leaves nothing behind. Where there can be none, the rows that need it are listed
// as left out; as root on Linux that fails.
//
// All rows go into one table, printed at the end where go test shows what passes: make
// outages. By default each row has both QoS at once and one version of MQTT; -full takes
// each of them alone and lets the long scenarios have their full length.
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

var full = flag.Bool("full", false, "take each QoS and version alone, and give the long scenarios their full length")

// testsAtOnce is how many bridges run at a time. They wait most of the time.
const testsAtOnce = "10"

const (
	// soon is enough for what takes milliseconds, on a machine that is busy.
	soon = 20 * time.Second
	// wholly is enough for a stream's rest to arrive.
	wholly = 40 * time.Second
)

// toxiproxyEnv names the proxy that is built before the namespace is entered.
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

// run builds what is tested and runs the tests, in a namespace where there can be one.
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

// build builds the runner, as it is delivered, and the proxy: in a namespace there is no
// network to fetch modules by.
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
