// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// ruleset is the firewall of the namespace. Ports are put into its sets.
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
	dropTo      = "to"          // what goes to the port is dropped
	dropFrom    = "from"        // what comes from the port is dropped
	unreachable = "unreachable" // what goes to the port is answered by ICMP
	resetTo     = "resetting"   // what goes to the port is answered by RST
)

// block puts a port into sets of the firewall.
func block(t testing.TB, port int, sets ...string) { change(t, "add", port, sets) }

// unblock takes it out of them.
func unblock(t testing.TB, port int, sets ...string) { change(t, "delete", port, sets) }

// change changes all sets at one instant.
func change(t testing.TB, what string, port int, sets []string) {
	t.Helper()
	var commands strings.Builder
	for _, set := range sets {
		fmt.Fprintf(&commands, "%s element inet outages %s { %d }\n", what, set, port)
	}
	must(t, execute(commands.String(), "nft", "-f", "-"))
}

// execute runs a program that is silent unless it fails.
func execute(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
