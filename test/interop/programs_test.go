// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// serverTimeout is the time that a server may take to start or to stop. RabbitMQ takes six seconds
// of processor time, which is long on a busy machine.
const serverTimeout = 2 * time.Minute

func hostPort(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// need fails the test if a program is not installed.
func need(t testing.TB, program, remedy string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing (%v): install %s, or as root on Debian run 'go -C hack/cluster run . packages'", program, err, remedy)
	}
	return path
}

func startMochi(t testing.TB) server {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mochi")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = "mochi"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building Mochi: %v\n%s", err, out)
	}
	address := hostPort(mqtttest.FreePort(t))
	return mqtttest.StartServer(t, "Mochi", address, serverTimeout, binary, "-listen", address)
}

func startAedes(t testing.TB) server {
	t.Helper()
	node := need(t, "node", "Node.js 20 or newer")
	dir, err := installAedes(need(t, "npm", "npm"))
	if err != nil {
		t.Fatal(err)
	}
	port := mqtttest.FreePort(t)
	return mqtttest.StartServer(t, "Aedes", hostPort(port), serverTimeout,
		node, filepath.Join(dir, "server.js"), "127.0.0.1", strconv.Itoa(port))
}

// installAedes installs the packages of package-lock.json once in the user's cache, and returns the
// directory.
func installAedes(npm string) (string, error) {
	files := os.DirFS("aedes")
	digest := sha256.New()
	for _, name := range []string{"package.json", "package-lock.json", "server.js"} {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return "", fmt.Errorf("read the files for Aedes: %w", err)
		}
		digest.Write(content)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	installed := filepath.Join(cache, fmt.Sprintf("aedes-%x", digest.Sum(nil)[:8]))
	if _, err := os.Stat(installed); err == nil {
		return installed, nil
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return "", fmt.Errorf("create the cache directory: %w", err)
	}
	fresh, err := os.MkdirTemp(cache, "aedes-")
	if err != nil {
		return "", fmt.Errorf("create a directory for Aedes: %w", err)
	}
	defer func() { _ = os.RemoveAll(fresh) }() // after a success, the directory no longer exists under this name
	if err := os.CopyFS(fresh, files); err != nil {
		return "", fmt.Errorf("copy the files for Aedes: %w", err)
	}
	install := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = fresh
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci of Aedes in %s: %w; check that this machine reaches the registry (npm config get registry), and run the test again\n%s", fresh, err, out)
	}
	// Another test may have installed it first; its directory is equivalent.
	if err := os.Rename(fresh, installed); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("rename the installation of Aedes: %w", err)
	}
	return installed, nil
}

// cacheDir returns the cache directory that hack/cluster also uses.
func cacheDir() (string, error) {
	if dir := os.Getenv("MQTTBRIDGE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	return filepath.Join(dir, "mqttbridge-operator"), nil
}

// rabbitMQConfig enables only the MQTT listener, treats clients without a login as the user of the
// tests, and permits more than 10 unacknowledged messages to a client. All other settings are
// defaults.
const rabbitMQConfig = `listeners.tcp = none
mqtt.listeners.tcp.1 = %s
mqtt.allow_anonymous = true
mqtt.default_user = %[2]s
mqtt.default_pass = %[3]s
mqtt.prefetch = 1000
default_user = %[2]s
default_pass = %[3]s
`

func startRabbitMQ(t testing.TB) server {
	t.Helper()
	const remedy = "the package rabbitmq-server"
	program := need(t, "/usr/lib/rabbitmq/bin/rabbitmq-server", remedy)
	dir := t.TempDir()
	address, epmd := hostPort(mqtttest.FreePort(t)), strconv.Itoa(mqtttest.FreePort(t))
	for name, content := range map[string]string{
		"rabbitmq.conf":   fmt.Sprintf(rabbitMQConfig, address, username, password),
		"enabled_plugins": "[rabbitmq_mqtt].\n",
		"env.conf":        "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The test starts Erlang's name server itself. Otherwise Erlang would start it, and it would
	// outlive the test.
	mqtttest.StartProgram(t, "epmd", need(t, "epmd", remedy), "-port", epmd, "-address", "127.0.0.1")
	return mqtttest.StartServer(t, "RabbitMQ", address, serverTimeout, "env",
		"HOME="+dir, // for Erlang's cookie
		"ERL_EPMD_PORT="+epmd,
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=interop-"+epmd+"@localhost",
		"RABBITMQ_DIST_PORT="+strconv.Itoa(mqtttest.FreePort(t)),
		"RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "env.conf"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "enabled_plugins"),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"),
		"RABBITMQ_LOGS=-",
		"RUNNING_UNDER_SYSTEMD=true", // the shell executes the server in its own process, so that the server receives the signals
		program)
}
