// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package edge

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// installedMachine is a machine with the unit and the bridge of the page, between two brokers.
type installedMachine struct {
	*machine
	page          string
	local, remote *mqtttest.Broker
	here, there   *mqtttest.Client5
	sent          int
}

// status is a command of the page.
const status = "curl --silent http://127.0.0.1:8080/status/default/plant-to-cloud"

// install runs the commands of the page up to the bridge that forwards.
func install(t *testing.T) *installedMachine {
	t.Helper()
	pki := mqtttest.NewPKI(t)
	m := &installedMachine{machine: boot(t), page: read(t, "docs/guides/edge.md")}
	m.local = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Persistence: true})
	m.remote = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", Persistence: true, TLS: pki.Server(), Users: map[string]string{"plant1": "secret"}})
	m.here, m.there = mqtttest.StartClient5(t, m.local, "here"), mqtttest.StartClient5(t, m.remote, "there")
	m.there.Subscribe("plant1/#")

	m.run(block(t, m.page, "sh", "systemctl enable --now"))
	m.write("bridge.yaml", strings.NewReplacer("mqtt://localhost:1883", m.local.URL(), "mqtts://node1.cloud.example:8883", m.remote.URL()).
		Replace(block(t, m.page, "yaml", "cloud-login")))
	m.write("password", "secret")
	m.write("ca.crt", string(pki.CA))
	m.run(block(t, m.page, "sh", "bridge-runner check"))
	m.waitForwards()
	return m
}

// waitForwards waits until a new message arrives.
func (m *installedMachine) waitForwards() {
	m.t.Helper()
	m.wait("systemctl show --property=StatusText "+unitName, "bridges that forward: 1 of 1")
	m.forward()
}

// forward sends a message through the bridge.
func (m *installedMachine) forward() {
	m.t.Helper()
	m.publish()
	m.arrived()
}

func (m *installedMachine) publish() {
	m.t.Helper()
	m.sent++
	m.here.Publish(&paho.Publish{Topic: "sensors/x", QoS: 1, Payload: []byte(fmt.Sprint(m.sent))})
}

// arrived waits until the latest message has arrived.
func (m *installedMachine) arrived() {
	m.t.Helper()
	mqtttest.Eventually(m.t, eventTimeout, "the message arrives", func() error {
		for _, got := range m.there.Received("plant1/sensors/x") {
			if string(got.Payload) == fmt.Sprint(m.sent) {
				return nil
			}
		}
		return errors.New("it has not arrived")
	})
}

// waitRestarted waits until systemd has started the process for the given time.
func (m *installedMachine) waitRestarted(times int) {
	m.t.Helper()
	m.wait("systemctl show --property=NRestarts --property=SubState "+unitName, fmt.Sprintf("NRestarts=%d\nSubState=running", times))
}

func TestEdgePage_Unit_RunsUnderSystemd(t *testing.T) {
	m := install(t)
	out := m.run(block(t, m.page, "sh", "systemctl status"))
	for _, want := range []string{"active (running)", `Status: "bridges that forward: 1 of 1"`, `"reason":"Forwarding"`, "the bridge starts"} {
		if !strings.Contains(strings.ReplaceAll(out, `": "`, `":"`), want) {
			t.Errorf("the commands do not show %s:\n%s", want, out)
		}
	}
	if owner := strings.TrimSpace(m.run("stat --format='%U %a' /var/lib/mqttbridge")); owner != "mqttbridge 700" {
		t.Errorf("the directory of the data belongs to %s", owner)
	}

	m.run("systemctl restart " + unitName)
	m.waitForwards()

	// More failures in a short time than systemd permits by default.
	const failures = 6
	for n := range failures {
		m.run("systemctl kill --signal=KILL " + unitName)
		m.waitRestarted(n + 1)
	}
	m.waitForwards()

	m.run("systemctl stop " + unitName)
	if result := m.property("Result") + " " + m.property("ExecMainStatus"); result != "success 0" {
		t.Errorf("the unit has stopped with %s", result)
	}
	m.publish() // the local broker keeps it
	m.run("systemctl start " + unitName)
	m.arrived()
}

func TestEdgePage_ProcessFrozen_SystemdRestartsIt(t *testing.T) {
	m := install(t)
	m.dropIn("WatchdogSec=3\nTimeoutAbortSec=3")
	m.run("systemctl restart " + unitName)
	m.waitForwards()
	m.run("systemctl kill --signal=STOP " + unitName)
	m.waitRestarted(1)
	m.waitForwards()
	if log := m.run("journalctl --unit=" + unitName); !strings.Contains(log, "Watchdog timeout") {
		t.Errorf("the journal does not name the watchdog:\n%s", log)
	}
}

// A wrong argument is corrected by the drop-in of the page, without a further command.
func TestEdgePage_WrongArguments_AreNamedAndCorrected(t *testing.T) {
	m := install(t)
	m.dropIn(`Environment="MQTTBRIDGE_ARGS=--nonsense"`)
	_, _ = m.try("systemctl restart " + unitName) // fails
	m.wait("journalctl --unit="+unitName, "flag provided but not defined: --nonsense")
	metrics := mqtttest.FreeAddress(t)
	m.write("/etc/systemd/system/"+unitName+".d/test.conf", strings.ReplaceAll(block(t, m.page, "ini", "MQTTBRIDGE_ARGS"), ":9090", metrics))
	m.run("systemctl daemon-reload")
	m.waitForwards()
	m.wait("curl --silent http://"+metrics+"/metrics", "mqttbridge_")
}

// The drop-in of one machine, whose other machine has no process.
func TestEdgePage_TwoMachines_OneForwardsAlone(t *testing.T) {
	m := install(t)
	other, own := mqtttest.FreeAddress(t), mqtttest.FreeAddress(t)
	m.run("sed -i '/buffer:/,$d' bridge.yaml && install -g mqttbridge -m 0640 bridge.yaml /etc/mqttbridge/bridges/plant-to-cloud.yaml")
	m.run("sed -i 's/192.0.2.2:7400/" + other + "/; s/--peer-listen :7400/--peer-listen " + own + "/' config/edge/peer.conf")
	m.run(block(t, m.page, "sh", "scp "))
	m.wait("systemctl show --property=StatusText "+unitName, "bridges that forward: 1 of 1; this runner is Active")
	m.forward()
	m.run(block(t, m.page, "sh", "--signal=USR1"))
	m.wait("journalctl --unit="+unitName, "the standby is not connected")
	m.forward()
}

// The backlog of a machine, the deletion of its bridge, and the removal of the runner.
func TestDeletionPage_Unit_NothingRemains(t *testing.T) {
	m := install(t)
	page := read(t, "docs/guides/deletion.md")
	m.remote.Stop()
	m.publish()
	m.wait("find /var/lib/mqttbridge/default/plant-to-cloud -name '*.log' -size +0", ".log")
	m.remote.Start()
	m.there = mqtttest.StartClient5(t, m.remote, "again")
	m.there.Subscribe("plant1/#")
	m.waitForwards() // in order, so that the backlog has been forwarded before

	found := regexp.MustCompile(`(?s)"local":.*?"clientID": *"([^"]+)"`).FindStringSubmatch(m.run(status))
	if found == nil {
		t.Fatal("the status has no client identifier of the local side")
	}
	id := found[1]
	deleted := strings.Replace(m.run("cat bridge.yaml"), "  name: plant-to-cloud\n", fmt.Sprintf("  name: plant-to-cloud\n  deletionTimestamp: %q\n", time.Now().UTC().Format(time.RFC3339)), 1)
	deleted = strings.Replace(deleted, "spec:\n", "spec:\n  deletionPolicy: Drain\n", 1)
	m.write("bridge.yaml", deleted)
	m.run("install -g mqttbridge -m 0640 bridge.yaml /etc/mqttbridge/bridges/plant-to-cloud.yaml")
	m.wait(block(t, page, "sh", "curl"), `"Complete"`)
	if m.local.HasSession(id) {
		t.Errorf("the local broker still has the session of %s", id)
	}
	m.run(block(t, page, "sh", "rm /etc/mqttbridge/bridges"))
	m.wait("systemctl show --property=StatusText "+unitName, "bridges that forward: 0 of 0")
	m.run(block(t, page, "sh", "systemctl disable --now"))
	m.run("systemctl daemon-reload")
	if left := m.run("find /etc /usr/bin /var/lib -name '*mqttbridge*' -o -name 'bridge-runner*' 2>/dev/null | grep -v ^/var/lib/systemd || true"); strings.TrimSpace(left) != "" {
		t.Errorf("these files remain:\n%s", left)
	}
}

// The page's first commands, without systemd.
func TestEdgePage_CommandsByHand_Work(t *testing.T) {
	local, remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"}), mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	page := read(t, "docs/guides/edge.md")
	m := boot(t)
	m.write("bridge.yaml", strings.NewReplacer("mqtt://localhost:1883", local.URL(), "mqtt://node1.cloud.example:1883", remote.URL()).
		Replace(block(t, page, "yaml", "# bridge.yaml")))
	for start, query := range map[string]string{"--bridge bridge.yaml": "8080/status\n", "--bridges bridges": "8080/status/default/to-cloud"} {
		m.run("(" + block(t, page, "sh", start) + ") >/tmp/log 2>&1 & echo $! >/tmp/pid")
		m.wait(block(t, page, "sh", query), `"Forwarding"`)
		m.run("pkill -TERM -P \"$(cat /tmp/pid)\" || kill -TERM \"$(cat /tmp/pid)\"; while pgrep -x bridge-runner >/dev/null; do sleep 0.1; done")
	}
}
