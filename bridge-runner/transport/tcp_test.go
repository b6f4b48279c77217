// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// blackHole returns an address that neither accepts nor refuses connections: the queue of its listener
// is full.
func blackHole(t *testing.T, addr netip.AddrPort) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr = netip.AddrPortFrom(addr.Addr(), uint16(bound.(*syscall.SockaddrInet4).Port))
	for { // fill the queue
		c, err := net.DialTimeout("tcp", addr.String(), 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

func TestCandidates_ThousandsOfAddresses_AreLimited(t *testing.T) {
	var ips []netip.Addr
	for i := range 4000 {
		ips = append(ips, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	ips = append(ips, netip.MustParseAddr("fd00::1"))
	got := candidates(ips, 1883)
	if len(got) != maxAttempts || got[0].String() != "10.0.0.0:1883" || got[1].String() != "[fd00::1]:1883" {
		t.Errorf("%d addresses: %v", len(got), got)
	}
}

func TestDial_AddressesDropPackets_CostAttemptDelayEach(t *testing.T) {
	server := listen(t, "127.0.0.9:0", echo)
	addr := netip.MustParseAddrPort(server)
	for _, ip := range []string{"127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8"} {
		blackHole(t, netip.AddrPortFrom(netip.MustParseAddr(ip), addr.Port()))
	}
	setAddresses("many.example", "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.9")
	start := time.Now()
	wantEcho(t, dial(t, Config{HostPort: "many.example:" + port(t, server)}))
	if took := time.Since(start); took < 4*attemptDelay || took > 5*time.Second {
		t.Errorf("the fifth address was reached after %v, want about 4 times %v", took, attemptDelay)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := Dial(ctx, Config{HostPort: "many.example:" + port(t, server)})
	if err != nil {
		t.Fatalf("within one second: %v", err)
	}
	_ = c.Close()
}

func TestDial_OneOfSeveralAddressesListens_Connects(t *testing.T) {
	for _, c := range []struct {
		name, listen string
		addrs        []string
	}{
		{"only IPv4 listens", "127.0.0.1:0", []string{"::1", "127.0.0.1"}},
		{"only IPv6 listens", "[::1]:0", []string{"127.0.0.1", "::1"}},
		{"the last listens", "127.0.0.13:0", []string{"127.0.0.10", "127.0.0.11", "127.0.0.12", "127.0.0.13"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			setAddresses("both.example", c.addrs...)
			server := listen(t, c.listen, echo)
			wantEcho(t, dial(t, Config{HostPort: "both.example:" + port(t, server)}))
		})
	}
	server := listen(t, "127.0.0.1:0", echo)
	wantEcho(t, dial(t, Config{HostPort: "localhost:" + port(t, server)}))
}

func TestDial_AddressOfTheNameChanges_ConnectsToTheNewOne(t *testing.T) {
	setAddresses("moving.example", "127.0.0.20")
	server := listen(t, "127.0.0.21:0", echo)
	before := queryCount("moving.example")
	cfg := Config{HostPort: "moving.example:" + port(t, server)}
	wantDialError(t, testTimeout, cfg, v1alpha1.ReasonConnectionRefused, "connection refused: no program listens on this port; check the URL's port, and that the server runs")
	setAddresses("moving.example", "127.0.0.21")
	wantEcho(t, dial(t, cfg))
	if n := queryCount("moving.example") - before; n != 3 {
		t.Errorf("%d DNS queries for the name, want 3", n)
	}
}

func TestInterleave_BothFamilies_Alternate(t *testing.T) {
	var in, want []netip.Addr
	for _, a := range []string{"2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1", "2001:db8::3", "192.0.2.2"} {
		in = append(in, netip.MustParseAddr(a))
	}
	for _, a := range []string{"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"} {
		want = append(want, netip.MustParseAddr(a))
	}
	if got := interleave(in); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDial_NoConnection_ReportsReasonAndRemedy(t *testing.T) {
	hole := blackHole(t, netip.MustParseAddrPort("127.0.0.30:0")).String()
	setAddresses("empty.example")
	for _, c := range []struct{ name, hostPort, reason, text string }{
		{
			"refused", closedPort(t), v1alpha1.ReasonConnectionRefused,
			"connection refused: no program listens on this port; check the URL's port, and that the server runs",
		},
		{
			"unknown name", "unknown.example:1883", v1alpha1.ReasonNameNotResolved,
			"the host name \"unknown.example\" cannot be resolved (no such host); check the URL's host, and the DNS of the pod or machine that connects",
		},
		{
			"name without addresses", "empty.example:1883", v1alpha1.ReasonNameNotResolved,
			"the host name \"empty.example\" cannot be resolved (no such host); check the URL's host, and the DNS of the pod or machine that connects",
		},
		{
			"dropped", hole, v1alpha1.ReasonConnectTimeout,
			"no connection within failover.connectTimeoutSeconds; check that the host is up, and that no firewall or network policy drops the packets",
		},
		{
			"no route", "255.255.255.255:1883", v1alpha1.ReasonHostUnreachable,
			"the host cannot be reached: connect: network is unreachable; check routes and network policies",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantDialError(t, time.Second, Config{HostPort: c.hostPort}, c.reason, c.text)
		})
	}
}

// option returns the value of a socket option.
func option(t *testing.T, c *net.TCPConn, level, name int) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var value int
	var failed error
	if err := raw.Control(func(fd uintptr) { value, failed = unix.GetsockoptInt(int(fd), level, name) }); err != nil {
		t.Fatal(err)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	return value
}

func TestDial_SocketOptions_DetectDeadPeerAndAddNoDelay(t *testing.T) {
	for name, want := range map[string]int{"with a write timeout": 7000, "without": 0} {
		t.Run(name, func(t *testing.T) {
			tcp := dialBelow(t, &Config{
				HostPort:     listen(t, "127.0.0.1:0", echo),
				WriteTimeout: time.Duration(want) * time.Millisecond,
			})
			for _, o := range []struct {
				name              string
				level, code, want int
			}{
				{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
				{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, want},
				{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
				{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
				{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
				{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
			} {
				if got := option(t, tcp, o.level, o.code); got != o.want {
					t.Errorf("%s is %d, want %d", o.name, got, o.want)
				}
			}
		})
	}
}

// The connection's own timeout takes the place of TCP_USER_TIMEOUT when Dial returns.
func TestDial_WriteTimeout_TurnsOffUserTimeout(t *testing.T) {
	c := dial(t, Config{HostPort: listen(t, "127.0.0.1:0", echo), WriteTimeout: 7 * time.Second})
	if got := option(t, c.socket.Conn.(*net.TCPConn), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != 0 {
		t.Errorf("TCP_USER_TIMEOUT is %d", got)
	}
	if c.socket.timeout != 7*time.Second {
		t.Errorf("the socket's timeout is %v", c.socket.timeout)
	}
}
