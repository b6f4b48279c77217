// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"slices"
	"strings"
	"testing"
)

func TestServerNames(t *testing.T) {
	for name, c := range map[string]struct {
		servers []Server
		want    []string
	}{
		"hosts":                      {[]Server{{URL: "mqtt://a.example"}, {URL: "mqtts://B.example:8883"}, {URL: "wss://c.example/mqtt?x=1"}}, []string{"a.example", "b.example", "c.example"}},
		"a dot at the end":           {[]Server{{URL: "mqtt://a.example."}}, []string{"a.example"}},
		"a port":                     {[]Server{{URL: "mqtt://a.example:1884"}, {URL: "mqtts://a.example:1883"}}, []string{"a.example:1884", "a.example:1883"}},
		"IPv6":                       {[]Server{{URL: "mqtt://[fd00::1]"}, {URL: "mqtt://[fe80::1%25eth0]:1884"}}, []string{"[fd00::1]", "[fe80::1%25eth0]:1884"}},
		"one host, default ports":    {[]Server{{URL: "mqtt://a"}, {URL: "mqtts://a"}, {URL: "mqtt://b"}}, []string{"a:1883", "a:8883", "b"}},
		"one host and port, paths":   {[]Server{{URL: "ws://a/x"}, {URL: "ws://a/y/z?q"}}, []string{"a:80/x", "a:80/y/z"}},
		"a name of the user":         {[]Server{{Name: "plant", URL: "mqtt://a"}, {URL: "mqtt://b"}}, []string{"plant", "b"}},
		"a host that is also a name": {[]Server{{Name: "a", URL: "mqtt://b"}, {URL: "mqtt://a"}}, []string{"a", "a:1883"}},
		"the same name twice":        {[]Server{{Name: "a", URL: "mqtt://b"}, {Name: "a", URL: "mqtt://c"}}, []string{"a", "a"}},
		"only the query differs":     {[]Server{{URL: "ws://a/x?1"}, {URL: "ws://a/x?2"}}, []string{"a:80/x", "a:80/x"}},
	} {
		side := &Side{Primary: c.servers[0], Backups: c.servers[1:]}
		if got := side.ServerNames(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A default name must not depend on the place in the list: metrics, events and a preferred
// server name servers by it.
func TestServerNames_BackupInserted_OthersKeepTheirNames(t *testing.T) {
	before := &Side{Primary: Server{URL: "mqtt://a"}, Backups: []Server{{URL: "mqtt://b:1884"}, {URL: "mqtts://c"}}}
	after := &Side{Primary: Server{URL: "mqtt://z"}, Backups: []Server{{URL: "mqtt://a"}, {URL: "mqtt://y"}, {URL: "mqtt://b:1884"}, {URL: "mqtts://c"}}}
	for _, name := range before.ServerNames() {
		if !slices.Contains(after.ServerNames(), name) {
			t.Errorf("%s has another name in %q", name, after.ServerNames())
		}
	}
}

// Errors about an invalid manifest list the names of its servers.
func TestServerNames_InvalidURLWithASecret_NamesAreWithoutIt(t *testing.T) {
	side := &Side{Primary: Server{URL: "mqtt://plant:hunter2@a.example"}}
	for _, url := range []string{"mqtts://plant:hunter2@a.example", "mqtt://plant:hun/ter2@b.example", "wss://c.example/x#hunter2", "mqtt://d.example#hunter2", "plant:hunter2@e.example:1883", "wss://f.example/x?token=hunter2", "wss://f.example/x?token=hunter22"} {
		side.Backups = append(side.Backups, Server{URL: url})
	}
	for i, name := range side.ServerNames() {
		if strings.Contains(name, "hun") || strings.Contains(name, "ter2") || strings.Contains(name, "token") {
			t.Errorf("the name of %s is %s", side.Servers()[i].URL, name)
		}
	}
}
