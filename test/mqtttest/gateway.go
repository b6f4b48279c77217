// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// GatewayOptions configures a Gateway. The zero value allows all clients and all destinations.
type GatewayOptions struct {
	// User and Password are the required login. Without User, no login is required.
	User, Password string
	// OnlyPort is the only destination port that an HTTP gateway allows. Default 0: all ports.
	OnlyPort int
}

// Gateway is a SOCKS or HTTP proxy: a process that opens connections for clients.
type Gateway struct {
	t       testing.TB
	name    string
	scheme  string
	port    int
	command []string
	process *process
}

// StartSOCKS starts a SOCKS5 gateway (microsocks).
func StartSOCKS(t testing.TB, o GatewayOptions) *Gateway {
	t.Helper()
	g := &Gateway{t: t, name: "microsocks", scheme: "socks5", port: FreePort(t)}
	g.command = []string{"microsocks", "-i", "127.0.0.1", "-p", fmt.Sprint(g.port)}
	if o.User != "" {
		g.command = append(g.command, "-u", o.User, "-P", o.Password)
	}
	g.Start()
	return g
}

// StartHTTPGateway starts an HTTP gateway with support for CONNECT (tinyproxy).
func StartHTTPGateway(t testing.TB, o GatewayOptions) *Gateway {
	t.Helper()
	g := &Gateway{t: t, name: "tinyproxy", scheme: "http", port: FreePort(t)}
	var conf strings.Builder
	fmt.Fprintf(&conf, "Port %d\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nLogLevel Info\n", g.port)
	if o.User != "" {
		fmt.Fprintf(&conf, "BasicAuth %s %s\n", o.User, o.Password)
	}
	if o.OnlyPort != 0 {
		fmt.Fprintf(&conf, "ConnectPort %d\n", o.OnlyPort)
	}
	path := filepath.Join(t.TempDir(), "tinyproxy.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	g.command = []string{"tinyproxy", "-d", "-c", path}
	g.Start()
	return g
}

// URL returns the URL of the gateway, without a login.
func (g *Gateway) URL() string { return fmt.Sprintf("%s://%s", g.scheme, address(g.port)) }

// URLFor returns the parsed URL with a login. If user is empty, it has no login.
func (g *Gateway) URLFor(user, password string) *url.URL {
	u := &url.URL{Scheme: g.scheme, Host: address(g.port)}
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	return u
}

// Start starts the gateway, also after Kill, and waits until it listens.
func (g *Gateway) Start() {
	g.t.Helper()
	g.process = startProcess(g.t, g.name, g.command[0], g.command[1:]...)
	Eventually(g.t, brokerStartTimeout, g.name+" listens", func() error {
		if !g.process.running() {
			g.t.Fatalf("%s ended during its start", g.name)
		}
		c, err := net.DialTimeout("tcp", address(g.port), time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// Kill ends the gateway and all connections through it.
func (g *Gateway) Kill() {
	g.t.Helper()
	g.process.kill()
}

// Log returns the output of the gateway so far.
func (g *Gateway) Log() string { return g.process.output() }
