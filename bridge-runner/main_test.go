// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"io"
	"regexp"
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
		opts, err := parseFlags(append([]string{"--bridge", "x"}, tc.args...), io.Discard, io.Discard)
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
		{"--bridge x --peer-timeout soon", `bridge-runner: invalid value "soon" for flag --peer-timeout: parse error`},
		{"--bridge x --delay-reads=maybe", `bridge-runner: invalid boolean value "maybe" for --delay-reads: parse error`},
		{"--bridges x --log-format json", ""},
		{"--bridges x --log-format xml", `--log-format "xml" is no format of the log; use text or json`},
		{"--bridge x --log-format json", "--log-format needs --bridges; with --bridge, set spec.runner.logFormat of the manifest"},
		{"--bridge", "bridge-runner: flag needs an argument: --bridge\n"},
		{"--brigde x", "bridge-runner: flag provided but not defined: --brigde\n"},
	} {
		var usage strings.Builder
		_, err := parseFlags(strings.Fields(tc.args), io.Discard, &usage)
		if (err == nil) != (tc.want == "") || !strings.Contains(usage.String(), tc.want) {
			t.Errorf("%q: %v: %s", tc.args, err, &usage)
		}
	}
}

// A message about wrong arguments is not followed by the whole help, which would hide it.
func TestParseFlags_WrongArguments_HintNamesTheHelp(t *testing.T) {
	for _, args := range []string{"", "chekc", "--brigde x", "--delay-reads=maybe"} {
		var out strings.Builder
		if _, err := parseFlags(strings.Fields(args), io.Discard, &out); err == nil {
			t.Errorf("%q is accepted", args)
		}
		if got := out.String(); !strings.HasSuffix(got, usageHint+"\n") || strings.Count(got, "\n") != 2 {
			t.Errorf("%q: want the message and the hint, got %q", args, got)
		}
	}
}

func TestParseFlags_Help_ListsCommandsAndFlags(t *testing.T) {
	var out, fault strings.Builder
	if _, err := parseFlags([]string{"-h"}, &out, &fault); !errors.Is(err, flag.ErrHelp) || fault.Len() > 0 {
		t.Errorf("-h: %v %s", err, &fault)
	}
	for _, want := range []string{"\n  check ", "\n  explain ", "\n  import ", "\n  convert ", "\n  peer-key ", "\n  --bridges DIRECTORY", "\n  --version"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %q:\n%s", want, &out)
		}
	}
	forUsers, ofOperator, ok := strings.Cut(out.String(), "\nSet by the operator in its pods:\n")
	if !ok || strings.Contains(forUsers, "\n  --group") || strings.Contains(forUsers, "\n  --kubernetes") || strings.Contains(ofOperator, "\n  --peer") {
		t.Errorf("the flags of the operator are not apart:\n%s", &out)
	}
	if short := regexp.MustCompile(`(^|[^-\w])-[a-gi-z][-a-z]+`).FindString(out.String()); short != "" {
		t.Errorf("the help has %q instead of --name:\n%s", short, &out)
	}
}

// Each flag is described, and once.
func TestParseFlags_Help_DescribesEachFlagOnce(t *testing.T) {
	var out strings.Builder
	_, _ = parseFlags([]string{"--help"}, &out, io.Discard)
	_, flags := newFlags()
	flags.VisitAll(func(f *flag.Flag) {
		if n := len(regexp.MustCompile(`(?m)^  --`+f.Name+`( |$)`).FindAllString(out.String(), -1)); n != 1 {
			t.Errorf("the help describes --%s %d times:\n%s", f.Name, n, &out)
		}
	})
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
