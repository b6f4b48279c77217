// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
)

func TestParseRequest_Texts_GiveServerAndForce(t *testing.T) {
	for _, c := range []struct {
		text, name string
		force      bool
	}{
		{"", "", false},
		{" \t", "", false},
		{"backup-1", "backup-1", false},
		{" backup-1  again ", "backup-1", false},
		{"backup-1 force", "backup-1", true},
		{"backup-1 again force", "backup-1", true},
		{"backup-1 forced", "backup-1", false},
		{"force", "force", false},
	} {
		if name, force := parseRequest(c.text); name != c.name || force != c.force {
			t.Errorf("%q is a request for %q, force %v; want %q, %v", c.text, name, force, c.name, c.force)
		}
	}
}

func TestDescribeAnswer_Answers_GiveStateAndMessage(t *testing.T) {
	course := Switch{Interruption: 12 * time.Millisecond, Drained: 3, Resent: 4}.describe()
	for _, c := range []struct {
		answer  failover.Answer
		details string
		state   v1alpha1.SwitchState
		message string
	}{
		{failover.Pending, "ignored", v1alpha1.SwitchPending, ""},
		{failover.InUse, "ignored", v1alpha1.SwitchDone, "the server is in use"},
		{
			failover.Switched, course, v1alpha1.SwitchDone,
			"no messages were published for 12 ms; the previous server acknowledged 3 messages in flight, and 4 are sent again to the new server",
		},
		{
			failover.UnknownServer, "a, b", v1alpha1.SwitchRefused,
			`there is no server "x" on this side; its servers are a, b`,
		},
		{
			failover.ProbeFailed, "timeout", v1alpha1.SwitchRefused,
			`the bridge does not switch, because the server "x" cannot be used: its probe failed: timeout; to switch without a probe, write force after the server's name in the annotation`,
		},
		{
			failover.ConnectFailed, "timeout", v1alpha1.SwitchRefused,
			`the bridge does not switch, because the server "x" cannot be used: the connection failed: timeout`,
		},
	} {
		if state, message := describeAnswer(c.answer, "x", c.details); state != c.state || message != c.message {
			t.Errorf("answer %d gives %s, %q; want %s, %q", c.answer, state, message, c.state, c.message)
		}
	}
}
