// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
)

func TestPeerKey_TwoMachines_TrustEachOther(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if err := makePeerKey(dir); err != nil {
			t.Fatal(err)
		}
	}
	o := peerOptions{key: filepath.Join(a, peerKeyFile), trusted: filepath.Join(b, peerPublicFile)}
	own, trusted, err := o.keys()
	if err != nil {
		t.Fatal(err)
	}
	other := peerOptions{key: filepath.Join(b, peerKeyFile), trusted: filepath.Join(a, peerPublicFile)}
	otherOwn, otherTrusted, err := other.keys()
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := peer.FingerprintOf(own); f != otherTrusted {
		t.Error("the second machine does not trust the first")
	}
	if f, _ := peer.FingerprintOf(otherOwn); f != trusted {
		t.Error("the first machine does not trust the second")
	}
	if info, err := os.Stat(o.key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key has the mode %v (%v)", info.Mode(), err)
	}
}

func TestPeerKey_Command_SaysWhatToDo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	for _, tt := range []struct {
		args       string
		code       int
		out, fault string // parts of the output
	}{
		{"", 2, "", "usage:"},
		{"--help", 0, "usage:", ""},
		{dir + " -h", 0, "usage:", ""},
		{"--other", 2, "", "flag provided but not defined: --other\n\nusage:"},
		{dir + " --other", 2, "", "flag provided but not defined: --other\n\nusage:"},
		{dir + " " + dir, 2, "", "usage:"},
		{dir, 0, "copy " + filepath.Join(dir, peerPublicFile) + " to the other machine", ""},
		{dir, 1, "", filepath.Join(dir, peerKeyFile) + " exists and is not replaced"},
	} {
		var out, fault strings.Builder
		if code := runPeerKey(strings.Fields(tt.args), &out, &fault); code != tt.code {
			t.Errorf("%q: exit code %d, want %d", tt.args, code, tt.code)
		}
		for _, o := range []struct{ got, want string }{{out.String(), tt.out}, {fault.String(), tt.fault}} {
			if !strings.Contains(o.got, o.want) || (o.got == "") != (o.want == "") {
				t.Errorf("%q: %q, want %q", tt.args, o.got, o.want)
			}
		}
	}
}

func TestPeerOptions_FilesAreWrong_ErrorNamesTheFlag(t *testing.T) {
	dir := t.TempDir()
	if err := makePeerKey(dir); err != nil {
		t.Fatal(err)
	}
	key, public := filepath.Join(dir, peerKeyFile), filepath.Join(dir, peerPublicFile)
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ key, trusted, want string }{
		{"missing", public, "--peer-key"},
		{public, public, "--peer-key"},
		{key, "missing", "--peer-trusted"},
		{key, empty, "--peer-trusted"},
	} {
		o := peerOptions{key: tt.key, trusted: tt.trusted}
		if _, _, err := o.keys(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %q: %v, want an error with %s", tt.key, tt.trusted, err, tt.want)
		}
	}
}

func TestParseFlags_Peer_IsChecked(t *testing.T) {
	const complete = "--bridge x --peer h:1 --peer-listen :1 --peer-key k --peer-trusted t"
	for _, tt := range []struct{ args, want string }{
		{complete, ""},
		{complete + " --peer-preferred --peer-timeout 3s", ""},
		{"--bridge x --peer-listen :1", "require --peer"},
		{"--bridge x --peer-timeout 5s", "require --peer"},
		{"--bridge x --peer h:1 --peer-key k --peer-trusted t", "--peer-listen is required"},
		{"--bridge x --peer h:1 --peer-listen :1 --peer-trusted t", "--peer-key is required"},
		{"--bridge x --peer h:1 --peer-listen :1 --peer-key k", "--peer-trusted is required"},
		{strings.Replace(complete, "h:1", "h", 1), "write host:port"},
		{complete + " --peer-timeout 1s", "at least 3s"},
		{complete + " --kubernetes", "exclude each other"},
	} {
		var usage strings.Builder
		_, err := parseFlags(strings.Fields(tt.args), io.Discard, &usage)
		if (err == nil) != (tt.want == "") || !strings.Contains(usage.String(), tt.want) {
			t.Errorf("%q: %v: %s", tt.args, err, &usage)
		}
	}
}

func TestSetup_DiskWithPeer_IsRefusedWithTheRemedy(t *testing.T) {
	const manifest = `{"apiVersion": "mqttbridge.io/v1alpha1", "kind": "MQTTBridge", "metadata": {"name": "x"}, "spec": {
		"local": {"primary": {"url": "mqtt://a"}}, "remote": {"primary": {"url": "mqtt://b"}},
		"localToRemote": [{"filter": "x"}], "buffer": {"disk": {"size": "1Gi"}}}}`
	path := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s := setup{data: t.TempDir()}
	if _, err := s.resolve(m); err != nil {
		t.Fatal(err)
	}
	s.seat = &seat{}
	if _, err := s.resolve(m); err == nil || !strings.Contains(err.Error(), "remove spec.buffer.disk") {
		t.Errorf("resolve: %v", err)
	}
}
