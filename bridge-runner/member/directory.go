// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// directory knows the addresses and the keys of the other members: of the other machine of a pair, or
// of the members that the Lease lists. Its methods may be called by several goroutines.
type directory interface {
	// trusted reports whether a key belongs to another member. It does not wait.
	trusted(key peer.Fingerprint) bool
	// owns reports whether a member has the key.
	owns(id role.ID, key peer.Fingerprint) bool
	// replaced reports whether the answer of a process with this key, at the address of a member, proves
	// that the member's process has ended.
	replaced(id role.ID, key peer.Fingerprint) bool
	// addresses returns the addresses of a member.
	addresses(ctx context.Context, id role.ID) ([]netip.AddrPort, error)
	// keep records the address at which a member has answered, or the zero value if none has answered.
	keep(address netip.AddrPort)
}

// otherMachine is the directory of a pair.
type otherMachine struct {
	key     peer.Fingerprint
	address string
	mu      sync.Mutex
	// latest is the address at which the other machine has answered. It is used before the name is
	// resolved again, so that a death is noticed without a name server.
	latest netip.AddrPort
}

func (o *otherMachine) trusted(key peer.Fingerprint) bool { return key == o.key }

// owns: the fingerprint of its key is the name of a machine.
func (*otherMachine) owns(id role.ID, key peer.Fingerprint) bool { return id.Pod == string(key) }

// replaced: the address may be wrong.
func (*otherMachine) replaced(role.ID, peer.Fingerprint) bool { return false }

func (o *otherMachine) addresses(ctx context.Context, _ role.ID) ([]netip.AddrPort, error) {
	o.mu.Lock()
	latest := o.latest
	o.mu.Unlock()
	if latest.IsValid() {
		return []netip.AddrPort{latest}, nil
	}
	host, portText, err := net.SplitHostPort(o.address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("the port %q: %w", portText, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var out []netip.AddrPort
	for _, ip := range ips {
		out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return out, err
}

func (o *otherMachine) keep(address netip.AddrPort) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.latest = address
}
