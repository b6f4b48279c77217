// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestParseFlags_Group_HasRequirementsAndDefaults(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string // a part of the message; empty: valid
	}{
		{"--kubernetes --group plant-bridge", ""},
		{"--kubernetes --group plant-bridge --lease-duration 60s", ""},
		{"--group plant-bridge", "--group requires --kubernetes"},
		{"--kubernetes --group plant-bridge --lease-duration 2s", "--lease-duration 2s is not possible"},
		{"--kubernetes --group plant-bridge --lease-duration 61s", "from 3s to 1m0s"},
		{"--kubernetes --group plant-bridge --lease-duration 3500ms", "whole seconds"},
		{"--kubernetes --group plant-bridge --peer 192.0.2.1:1 --peer-listen :1 --peer-key k --peer-trusted t", "--peer and --kubernetes exclude each other"},
	} {
		var usage strings.Builder
		_, err := parseFlags(append([]string{"--bridge", "x"}, strings.Fields(tc.args)...), io.Discard, &usage)
		if (err == nil) != (tc.want == "") || !strings.Contains(usage.String(), tc.want) {
			t.Errorf("%q: %v: %s", tc.args, err, &usage)
		}
	}
	o, err := parseFlags(strings.Fields("--bridge x --kubernetes --group g"), io.Discard, io.Discard)
	if err != nil || o.group.listen != ":8091" || o.group.duration != 15*time.Second {
		t.Errorf("%+v, %v", o.group, err)
	}
}

func TestGroupOptions_Environment_NamesThePod(t *testing.T) {
	for name, tt := range map[string]struct {
		pod, ip, listen string
		address         string
		failure         string // a part of the error; empty: none
	}{
		"IPv4":                 {"a", "192.0.2.1", ":8091", "192.0.2.1:8091", ""},
		"IPv6":                 {"a", "2001:db8::1", ":8091", "[2001:db8::1]:8091", ""},
		"no pod":               {"", "192.0.2.1", ":8091", "", "POD_NAME and POD_IP"},
		"no address":           {"a", "", ":8091", "", "POD_NAME and POD_IP"},
		"no valid address":     {"a", "x", ":8091", "", "POD_IP"},
		"no port":              {"a", "192.0.2.1", "8091", "", "write host:port"},
		"a port with a letter": {"a", "192.0.2.1", ":80a1", "", `the port "80a1"`},
	} {
		t.Run(name, func(t *testing.T) {
			before := inCluster
			t.Cleanup(func() { inCluster = before })
			inCluster = func() (*rest.Config, error) { return &rest.Config{}, nil }
			t.Setenv("POD_NAME", tt.pod)
			t.Setenv("POD_IP", tt.ip)
			o := groupOptions{name: "g", listen: tt.listen, duration: defaultLease}
			cfg, err := o.config("default")
			switch {
			case tt.failure == "" && (err != nil || cfg.Lease.Address.String() != tt.address || cfg.Lease.Namespace != "default"):
				t.Errorf("%+v, %v", cfg, err)
			case tt.failure != "" && (err == nil || !strings.Contains(err.Error(), tt.failure)):
				t.Errorf("%v, want %q", err, tt.failure)
			}
		})
	}
	o := groupOptions{name: "g", listen: ":8091", duration: defaultLease}
	if _, err := o.config("default"); !errors.Is(err, rest.ErrNotInCluster) {
		t.Errorf("outside a cluster: %v", err)
	}
}
