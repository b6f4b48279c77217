// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// dialTCP connects to an address. ECONNREFUSED means that the kernel of the host has refused: a
// refusal by ICMP has another error, because a firewall may have sent it.
func dialTCP(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	watched := watchedSocket{fd: noFD}
	defer watched.close()
	dialer := net.Dialer{KeepAlive: -1, Control: watched.watch} // heartbeats detect a lost member
	conn, err := dialer.DialContext(ctx, "tcp", address.String())
	if errors.Is(err, syscall.ECONNREFUSED) && watched.receivedICMP() {
		return nil, fmt.Errorf("%w: %s", errRefusedByICMP, address)
	}
	if err != nil {
		return nil, err
	}
	watched.ignoreICMP()
	return conn, nil
}

// errRefusedByICMP is the error of a connection that an ICMP message has refused.
var errRefusedByICMP = errors.New("an ICMP message refuses the connection, which a firewall or a Service without endpoints sends, not the kernel of a host without a listener")

// noFD is used in place of a descriptor.
const noFD = -1

// watchedSocket is a second descriptor of a socket that connects. It lasts longer than the first one,
// which package net closes if the connection fails, so that the received ICMP messages can be read.
type watchedSocket struct {
	fd int
	// level and option select the messages of the address family.
	level, option int
}

// watch makes the system keep ICMP messages for the socket. If that fails, a refusal by ICMP is not
// recognized.
func (w *watchedSocket) watch(network, _ string, raw syscall.RawConn) error {
	w.level, w.option = unix.IPPROTO_IP, unix.IP_RECVERR
	if network == "tcp6" {
		w.level, w.option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	return raw.Control(func(fd uintptr) {
		copied, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return
		}
		w.fd = copied
		_ = unix.SetsockoptInt(copied, w.level, w.option, 1) // see above
	})
}

// receivedICMP reports whether an ICMP message has arrived (ip(7), IP_RECVERR).
func (w *watchedSocket) receivedICMP() bool {
	if w.fd == noFD {
		return false
	}
	data, control := make([]byte, 64), make([]byte, 256)
	_, n, _, _, err := unix.Recvmsg(w.fd, data, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	return err == nil && n > 0
}

// ignoreICMP makes the system treat ICMP messages as usual: on a connection that is established, they
// are no errors.
func (w *watchedSocket) ignoreICMP() {
	if w.fd != noFD {
		_ = unix.SetsockoptInt(w.fd, w.level, w.option, 0) // the option exists, because watch has set it
	}
}

func (w *watchedSocket) close() {
	if w.fd != noFD {
		_ = unix.Close(w.fd) // nothing was written to it
	}
}
