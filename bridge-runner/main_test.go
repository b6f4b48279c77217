// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
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
		{"--bridge x y", `the argument "y" is no flag; remove it, or put the manifests`},
		{"chekc -f x", `"chekc" is no command; name a manifest by --bridge FILE, or write one of the commands check, explain`},
		{"--brigde x", "flag provided but not defined: -brigde"},
	} {
		var usage strings.Builder
		_, err := parseFlags(strings.Fields(tc.args), &usage)
		if (err == nil) != (tc.want == "") || !strings.Contains(usage.String(), tc.want) {
			t.Errorf("%q: %v: %s", tc.args, err, &usage)
		}
	}
}

// A message about wrong arguments is not followed by the whole help, which would hide it.
func TestParseFlags_WrongArguments_HintNamesTheHelp(t *testing.T) {
	for _, args := range []string{"", "chekc", "--brigde x", "--delay-reads=maybe"} {
		var out strings.Builder
		if _, err := parseFlags(strings.Fields(args), &out); err == nil {
			t.Errorf("%q is accepted", args)
		}
		if got := out.String(); !strings.HasSuffix(got, usageHint+"\n") || strings.Count(got, "\n") != 2 {
			t.Errorf("%q: want the message and the hint, got %q", args, got)
		}
	}
}

func TestParseFlags_Help_ListsCommandsAndFlags(t *testing.T) {
	var out strings.Builder
	if _, err := parseFlags([]string{"-h"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
	for _, want := range []string{"\n  check ", "\n  explain ", "\n  import ", "\n  convert ", "\n  peer-key ", "\n  -bridges directory", "\n  -version"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %q:\n%s", want, &out)
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
