// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// ruleset is the firewall of the namespace. Tests add ports to its sets.
const ruleset = `
table inet outages {
	set to { type inet_service; }
	set from { type inet_service; }
	set unreachable { type inet_service; }
	set resetting { type inet_service; }
	chain input {
		type filter hook input priority 0; policy accept;
		tcp dport @to drop
		tcp sport @from drop
		tcp dport @unreachable reject with icmpx type host-unreachable
		tcp dport @resetting reject with tcp reset
	}
}
`

// Sets of the firewall.
const (
	dropTo      = "to"          // drop packets to the port
	dropFrom    = "from"        // drop packets from the port
	unreachable = "unreachable" // answer packets to the port with ICMP
	resetTo     = "resetting"   // answer packets to the port with RST
)

// block adds a port to sets of the firewall.
func block(t testing.TB, port int, sets ...string) { change(t, "add", port, sets) }

// unblock removes a port from sets of the firewall.
func unblock(t testing.TB, port int, sets ...string) { change(t, "delete", port, sets) }

// change changes all sets at the same time.
func change(t testing.TB, what string, port int, sets []string) {
	t.Helper()
	var commands strings.Builder
	for _, set := range sets {
		fmt.Fprintf(&commands, "%s element inet outages %s { %d }\n", what, set, port)
	}
	must(t, execute(commands.String(), "nft", "-f", "-"))
}

// execute runs a program and returns an error with its output if it fails.
func execute(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
