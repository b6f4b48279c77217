// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"net"
	"testing"
)

// scoped are addresses of this machine with a zone: the loopback's, and the link-local
// ones that it has.
func scoped(t *testing.T) []string {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addresses {
			n, ok := a.(*net.IPNet)
			if ok && n.IP.To4() == nil && (n.IP.IsLinkLocalUnicast() || n.IP.IsLoopback()) && i.Flags&net.FlagUp != 0 {
				out = append(out, n.IP.String()+"%"+i.Name)
			}
		}
	}
	return out
}

func TestDial_AddressWithAZone_ConnectsAndSendsNoZone(t *testing.T) {
	all := scoped(t)
	if len(all) == 0 {
		t.Fatal("this machine has no IPv6 address")
	}
	for _, address := range all {
		t.Run(address, func(t *testing.T) {
			got, err := lookup(t.Context(), address)
			if err != nil || len(got) != 1 || got[0].String() != address {
				t.Errorf("looked up %v, %v", got, err)
			}
			server := listen(t, net.JoinHostPort(address, "0"), echo) // its address may lack the zone
			echoes(t, dial(t, Config{HostPort: net.JoinHostPort(address, port(t, server))}))
		})
	}
	for hostPort, want := range map[string]string{
		"[fe80::1%eth0]:8080":  "ws://[fe80::1]:8080/",
		"[fe80::1%eth0]:80":    "ws://[fe80::1]/",
		"broker.example.:80":   "ws://broker.example/",
		"broker.example.:9001": "ws://broker.example:9001/",
	} {
		if got := webSocketURL(&Config{HostPort: hostPort}); got != want {
			t.Errorf("%s: %s, want %s", hostPort, got, want)
		}
	}
}
