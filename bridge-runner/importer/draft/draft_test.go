// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package draft

import (
	"strings"
	"testing"
	"time"
)

func TestTemplate_Prefixes_AreReplaced(t *testing.T) {
	for _, c := range []struct{ from, to, pattern, want string }{
		{"", "", "a/#", ""},
		{"x/", "x/", "a/#", ""},
		{"", "b/", "a", "b/a"},
		{"a/", "", "#", "${1}"},
		{"a/", "b/", "+/c/+/#", "b/${1}/c/${2}/${3}"},
		{"local/t", "remote/t", "", "remote/t"},
		{"", "b/", "a/$x", "b/a/$x"},
		{"", "${x}/", "a", "error: braces"},
		{"", "b/", "a/$1", "error: reserve"},
		{"", "b$", "+", "error: reserve"},
		{"", "b/+/", "a", "error: wildcard"},
		{"", "b/", "a#", "error: wildcard"},
		{"+/b/", "a/", "#", "error: wildcard"},
		{"b/#", "a/", "+", "error: wildcard"},
	} {
		got, err := Template(c.from, c.to, c.pattern)
		checkTopic(t, c, got, c.want, err)
	}
}

func TestRemap_Wildcards_StandForTheText(t *testing.T) {
	for _, c := range []struct{ filter, target, want string }{
		{"a/#", "", ""},
		{"a/#", "b", "b"},
		{"+/nanomq/#", "#", "${2}"},
		{"+/nanomq/#", "x/+/#", "x/${1}/${2}"},
		{"+/a/+", "+/b/+", "${1}/b/${2}"},
		{"+/a/+", "b/+", "error: not clear"},
		{"a/b", "c/#", "error: not clear"},
		{"a", "b/{c}", "error: braces"},
	} {
		got, err := Remap(c.filter, c.target)
		checkTopic(t, c, got, c.want, err)
	}
}

func TestAffixed_PrefixAndSuffix_SurroundTheTopic(t *testing.T) {
	for _, c := range []struct{ prefix, topic, suffix, want string }{
		{"", "", "", ""},
		{"a/", "", "", "a/${topic}"},
		{"", "", "/z", "${topic}/z"},
		{"a/", "b", "/z", "a/b/z"},
		{"a/#/", "b", "", "error: wildcard"},
		{"", "b", "/{z}", "error: braces"},
	} {
		got, err := Affixed(c.prefix, c.topic, c.suffix)
		checkTopic(t, c, got, c.want, err)
	}
}

// checkTopic compares a topic; a wanted topic that begins with error: is a part of the error.
func checkTopic(t *testing.T, input any, got, want string, err error) {
	t.Helper()
	text, wantError := strings.CutPrefix(want, "error: ")
	switch {
	case wantError && (err == nil || !strings.Contains(err.Error(), text)):
		t.Errorf("%+v: %q, %v, want an error with %q", input, got, err, text)
	case !wantError && (err != nil || got != want):
		t.Errorf("%+v: %q, %v, want %q", input, got, err, want)
	}
}

func TestNew_Names_AreValidAndDistinct(t *testing.T) {
	opts := &Options{Names: map[string]bool{}}
	for _, c := range []struct{ source, want string }{
		{"plant", "plant"},
		{"Plant_1", "plant-1"},
		{"plant-1", "plant-1-2"},
		{"plant.1", "plant-1-3"},
		{"", "bridge"},
		{"桥", "bridge-2"},
		{strings.Repeat("a", 60), strings.Repeat("a", 48)},
		{strings.Repeat("a", 61), strings.Repeat("a", 48) + "-2"},
		{strings.Repeat("b", 47) + "-cc", strings.Repeat("b", 47)},
	} {
		b := New(opts, c.source, 7)
		if b.Manifest.Name != c.want {
			t.Errorf("%q is called %q, want %q", c.source, b.Manifest.Name, c.want)
		}
		if renamed := len(b.Findings) > 0; renamed != (c.source != c.want) {
			t.Errorf("%q is called %q, with the findings %v", c.source, b.Manifest.Name, b.Findings)
		}
	}
}

func TestParseMilliseconds_UnitsAndSums_AreAdded(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"60": time.Minute, "60s": time.Minute, "2M": 2 * time.Minute, "1h30m": 90 * time.Minute, "1d": 24 * time.Hour,
		"800ms": 800 * time.Millisecond, "1s500ms": 1500 * time.Millisecond, "0": 0, "0s": 0, "1w": 7 * 24 * time.Hour, "4294967295": 4294967295 * time.Second,
	} {
		if got, ok := parseMilliseconds(text); !ok || got != int64(want/time.Millisecond) {
			t.Errorf("%q is %d ms (%v), want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "s", "soon", "-1s", "1.5s", "10x", "1h30", "4294967296", "9999999999w", "9999w9999w"} {
		if got, ok := parseMilliseconds(text); ok {
			t.Errorf("%q is %d ms, want an error", text, got)
		}
	}
}

func TestPortOf_Addresses(t *testing.T) {
	for address, want := range map[string]string{
		"1883": "1883", ":1883": "1883", "0.0.0.0:1883": "1883", "[::]:1883": "1883", "nmq-tcp://0.0.0.0:1885": "1885",
		"0.0.0.0:8083/mqtt": "8083", "": "", "localhost": "", "0.0.0.0": "",
	} {
		if got := PortOf(address); got != want {
			t.Errorf("%q has the port %q, want %q", address, got, want)
		}
	}
}

func TestShellWord_SpecialCharacters_AreQuoted(t *testing.T) {
	for word, want := range map[string]string{
		"--from-file=ca.crt=/etc/certs/ca.pem": "--from-file=ca.crt=/etc/certs/ca.pem",
		"--from-file=ca.crt=/my certs/ca.pem":  "'--from-file=ca.crt=/my certs/ca.pem'",
		"a;b":                                  "'a;b'",
		"it's":                                 `'it'\''s'`,
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%s is quoted as %s, want %s", word, got, want)
		}
	}
}

func TestFinding_ControlCharacters_AreReplaced(t *testing.T) {
	f := Finding{Kind: LeftOut, Line: 3, Key: "a\x1b[31m", Text: "b\x00c\x07"}
	if got, want := f.String(), `line 3: a\x1b[31m: left out: b\x00c\a`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
