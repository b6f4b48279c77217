// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
)

// zonedAddresses returns IPv6 addresses of this machine with a zone: the loopback address, and the
// link-local addresses.
func zonedAddresses(t *testing.T) []string {
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
	all := zonedAddresses(t)
	if len(all) == 0 {
		t.Fatal("this machine has no IPv6 address")
	}
	for _, address := range all {
		t.Run(address, func(t *testing.T) {
			got, err := lookup(t.Context(), address)
			if err != nil || len(got) != 1 || got[0].String() != address {
				t.Errorf("lookup returned %v, %v", got, err)
			}
			server := listen(t, net.JoinHostPort(address, "0"), echo) // its result may lack the zone
			wantEcho(t, dial(t, Config{HostPort: net.JoinHostPort(address, port(t, server))}))
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

// A zone names an interface of this machine. It is not valid on a proxy.
func TestDial_AddressWithAZoneThroughAProxy_SendsNoZone(t *testing.T) {
	const server = "[fe80::1%eth0]:1883"
	t.Run("http", func(t *testing.T) {
		requests := make(chan string, 2)
		proxy := listen(t, "127.0.0.1:0", func(c net.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				t.Error(err)
				return
			}
			requests <- r.RequestURI
			requests <- r.Host
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		})
		dial(t, Config{HostPort: server, Proxy: &url.URL{Scheme: "http", Host: proxy}})
		for _, part := range []string{"target", "Host"} {
			if got := <-requests; got != "[fe80::1]:1883" {
				t.Errorf("the %s is %s", part, got)
			}
		}
	})
	t.Run("socks5", func(t *testing.T) {
		const request = "\x05\x01\x00\x04\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x07\x5b" // an IPv6 address
		requests := make(chan string, 1)
		proxy := listen(t, "127.0.0.1:0", func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 3))
			_, _ = io.WriteString(c, "\x05\x00")
			got := make([]byte, len(request))
			_, _ = io.ReadFull(c, got)
			requests <- string(got)
			_, _ = io.WriteString(c, "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
		})
		dial(t, Config{HostPort: server, Proxy: &url.URL{Scheme: "socks5", Host: proxy}})
		if got := <-requests; got != request {
			t.Errorf("requested %q, want %q", got, request)
		}
	})
}
