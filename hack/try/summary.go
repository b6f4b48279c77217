// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// summary returns the result as text.
func summary(r traffic.Report, g gaps, rate int) string {
	b := new(strings.Builder)
	b.WriteString("\n")
	for _, line := range []struct {
		name, value, meaning string
	}{
		{"sent", fmt.Sprint(r.Acknowledged), "messages, all acknowledged by plant"},
		{"arrived", fmt.Sprint(r.Arrived), "at cloud-1, cloud-2 and cloud-3 together"},
		{"lost", fmt.Sprint(len(r.Lost)), ""},
		{"duplicated", fmt.Sprint(r.Duplicates), "in flight when the server or the runner was killed, and sent again"},
		{"gap", milliseconds(g.failover), fmt.Sprintf("failover to cloud-2; %s without a failover", milliseconds(time.Second/time.Duration(rate)))},
		{"", milliseconds(g.failback), "failback to cloud-1"},
		{"", milliseconds(g.outage), "all remote servers killed and started again"},
		{"", milliseconds(g.runner), "runner killed and started again"},
	} {
		fmt.Fprintf(b, "  %-11s %8s   %s\n", line.name, line.value, line.meaning)
	}
	b.WriteString("\n")
	return b.String()
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
