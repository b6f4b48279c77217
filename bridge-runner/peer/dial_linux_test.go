// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fullBacklog returns an address whose kernel drops connections: the only place of the backlog is
// taken.
func fullBacklog(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	bound, ok := name.(*unix.SockaddrInet4)
	if !ok {
		t.Fatalf("%T", name)
	}
	address := netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port))
	for range 2 { // the backlog has one more place than its size
		c, err := net.DialTimeout("tcp", address.String(), 200*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	return address
}

func TestDial_FullBacklog_ProvesNothing(t *testing.T) {
	pair, _ := certificate(t)
	a, _ := start(t, "a", pair, trust(), nil)
	address := fullBacklog(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, evidence, err := a.Dial(ctx, address); evidence != NoAnswer {
		t.Errorf("%s: %v", evidence, err)
	}
}

// inNamespace runs a test in a network namespace of its own, with loopback.
func inNamespace(t *testing.T, run func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering a network namespace: %w; run the test as root", err)
			return
		}
		if err := command("ip", "link", "set", "lo", "up"); err != nil {
			done <- err
			return
		}
		run()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// A firewall that refuses connections would otherwise look like the end of the process behind it.
func TestDial_FirewallRefuses_ProvesNothing(t *testing.T) {
	pair, _ := certificate(t)
	a, _ := start(t, "a", pair, trust(), nil)
	inNamespace(t, func() {
		for _, rule := range [][]string{
			{"add", "table", "inet", "f"},
			{"add", "chain", "inet", "f", "input", "{ type filter hook input priority 0; }"},
			{"add", "rule", "inet", "f", "input", "tcp", "dport", "7", "reject"},
			{"add", "rule", "inet", "f", "input", "tcp", "dport", "8", "reject", "with", "icmpx", "admin-prohibited"},
		} {
			if err := command("nft", rule...); err != nil {
				t.Error(err)
				return
			}
		}
		for address, want := range map[string]Evidence{
			"127.0.0.1:7": NoAnswer, "127.0.0.1:8": NoAnswer, "127.0.0.1:9": Refused,
			"[::1]:7": NoAnswer, "[::1]:8": NoAnswer, "[::1]:9": Refused,
		} {
			_, evidence, err := a.Dial(t.Context(), netip.MustParseAddrPort(address))
			if evidence != want {
				t.Errorf("%s: %s (%v), want %s", address, evidence, err, want)
			}
		}
	})
}

func TestDialTCP_Connected_HasTheOptionsOfAConnectionWithHeartbeats(t *testing.T) {
	p := newPair(t, nil)
	a, b := p.connect(t)
	for name, c := range map[string]*Conn{"dialled": a, "accepted": b} {
		socket, err := tcp(t, c.conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for option, want := range map[[2]int]int{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY}: 1,
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 0,
			{unix.IPPROTO_IP, unix.IP_RECVERR}:   0,
		} {
			var got int
			var failed error
			if err := errors.Join(socket.Control(func(fd uintptr) {
				got, failed = unix.GetsockoptInt(int(fd), option[0], option[1])
			}), failed); err != nil || got != want {
				t.Errorf("%s: option %v is %d (%v), want %d", name, option, got, err, want)
			}
		}
	}
}
