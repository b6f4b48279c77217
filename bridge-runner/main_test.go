// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

func TestParseFlags_DelayReads_IsOnByDefault(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"--delay-reads"}, true},
		{[]string{"--delay-reads=true"}, true},
		{[]string{"--delay-reads=false"}, false},
	} {
		opts, err := parseFlags(append([]string{"--bridge", "x"}, tc.args...), io.Discard)
		if err != nil || opts.delayReads != tc.want {
			t.Errorf("%q: %t, %v", tc.args, opts.delayReads, err)
		}
	}
}

func TestParseFlags_BridgeOrBridges_ExactlyOneIsRequired(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string // a part of the message; empty: valid
	}{
		{"--bridge x", ""},
		{"--bridge x --kubernetes", ""},
		{"--bridges x", ""},
		{"", "--bridge or --bridges is required"},
		{"--bridge x --bridges y", "exclude each other"},
		{"--bridges x --kubernetes", "--kubernetes and --bridges exclude each other"},
		{"--bridge x y", "arguments other than flags are not allowed"},
	} {
		var usage strings.Builder
		_, err := parseFlags(strings.Fields(tc.args), &usage)
		if (err == nil) != (tc.want == "") || !strings.Contains(usage.String(), tc.want) {
			t.Errorf("%q: %v: %s", tc.args, err, &usage)
		}
	}
}

func TestSessionConfig_DelayReads_AppliesToEachServer(t *testing.T) {
	for _, want := range []bool{true, false} {
		base := session.Config{Transport: transport.Config{DelayReads: want}}
		cfg, err := config.ServerSession(base, &config.Side{}, &config.Server{}, config.NewSecrets(t.TempDir()))
		if err != nil || cfg.Transport.DelayReads != want {
			t.Errorf("%t: %t, %v", want, cfg.Transport.DelayReads, err)
		}
	}
}
