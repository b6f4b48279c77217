// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

func TestProgress_Generation_ReportedWhenInEffectOnBothSides(t *testing.T) {
	var reported []int64
	p := &progress{report: func(generation int64) { reported = append(reported, generation) }}
	want := func(generations ...int64) {
		t.Helper()
		if !slices.Equal(reported, generations) {
			t.Fatalf("reported %v, want %v", reported, generations)
		}
	}
	second := p.begin(2)
	second()
	want()
	second()
	want(2)

	third, fourth := p.begin(3), p.begin(4)
	third() // too late: the settings of generation 4 have replaced these
	third()
	want(2)
	fourth()
	p.advance(5) // the same settings, which are not in effect yet
	want(2)
	fourth()
	want(2, 5)
	p.advance(6)
	want(2, 5, 6)
}

func TestNeedsRestart_Change_OnlyForDiskAndExchangedClientIDs(t *testing.T) {
	rules := []manifest.Rule{{Name: "r"}}
	base := config.Settings{LocalToRemote: rules, Disk: config.Disk{Bytes: 1}}
	base.Local.ClientID, base.Remote.ClientID = "l", "r"
	for name, tt := range map[string]struct {
		change func(*config.Settings)
		want   bool
	}{
		"nothing":                           {func(*config.Settings) {}, false},
		"a rule":                            {func(s *config.Settings) { s.LocalToRemote = []manifest.Rule{{Name: "s"}} }, false},
		"keepAliveSeconds":                  {func(s *config.Settings) { s.Local.KeepAlive = time.Second }, false},
		"clientID of local":                 {func(s *config.Settings) { s.Local.ClientID = "x" }, false},
		"clientID of remote":                {func(s *config.Settings) { s.Remote.ClientID = "x" }, false},
		"clientIDs exchanged":               {func(s *config.Settings) { s.Local.ClientID, s.Remote.ClientID = "r", "l" }, true},
		"clientID of the other side":        {func(s *config.Settings) { s.Local.ClientID, s.Remote.ClientID = "r", "x" }, true},
		"messageTTLSeconds":                 {func(s *config.Settings) { s.Disk.TTL = time.Hour }, true},
		"no buffer on disk":                 {func(s *config.Settings) { s.Disk = config.Disk{} }, true},
		"a direction without rules":         {func(s *config.Settings) { s.LocalToRemote = nil }, true},
		"a second direction":                {func(s *config.Settings) { s.RemoteToLocal = rules }, true},
		"a second direction without a disk": {func(s *config.Settings) { s.RemoteToLocal = rules }, false},
	} {
		t.Run(name, func(t *testing.T) {
			running := base
			if name == "a second direction without a disk" {
				running.Disk = config.Disk{}
			}
			next := running
			tt.change(&next)
			if got := needsRestart(&running, &next); got != tt.want {
				t.Errorf("needs a restart: %t, want %t", got, tt.want)
			}
		})
	}
}

func TestTicketBook_ChangedList_KeepsServersThatRemain(t *testing.T) {
	book := ticketBook{}
	side := func(servers ...config.Server) *config.Side { return &config.Side{Servers: servers} }
	a, b := config.Server{Name: "a", URL: "mqtts://a"}, config.Server{Name: "b", URL: "mqtts://b"}
	first := book.of(side(a, b), nil)
	moved := b
	moved.URL = "mqtts://c"
	second := book.of(side(moved, a), nil)
	if second[1] != first[0] {
		t.Error("the server that remains has other TLS sessions")
	}
	if slices.Contains([]*transport.TLSSessions{first[0], first[1]}, second[0]) {
		t.Error("a server with another URL has the TLS sessions of an earlier server")
	}
	if len(book) != 2 {
		t.Errorf("%d entries, want 2", len(book))
	}
}
