// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package peer

import (
	"context"
	"net"
	"net/netip"
)

// dialTCP connects to an address. A refusal by ICMP is not recognized.
func dialTCP(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1} // heartbeats detect a lost member
	return dialer.DialContext(ctx, "tcp", address.String())
}
