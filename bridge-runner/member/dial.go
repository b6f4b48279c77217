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
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

const (
	// endingTime is the time in which a process that is being killed closes its sockets: until then it
	// may accept connections, and does not answer.
	endingTime = 150 * time.Millisecond
	// endingPause is the pause between attempts during this time.
	endingPause = 10 * time.Millisecond
)

// dialer knows the address of the other machine.
type dialer struct {
	address string
	mu      sync.Mutex
	// latest is the address at which the other machine has answered. It is used before the name is
	// resolved again, so that a death is noticed without a name server.
	latest netip.AddrPort
}

// addresses returns the addresses of the other machine.
func (d *dialer) addresses(ctx context.Context) ([]netip.AddrPort, error) {
	d.mu.Lock()
	latest := d.latest
	d.mu.Unlock()
	if latest.IsValid() {
		return []netip.AddrPort{latest}, nil
	}
	host, portText, err := net.SplitHostPort(d.address)
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

// keep records the address that has answered, or forgets it if it does not answer.
func (d *dialer) keep(address netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latest = address
}

// dial carries out a Dial of the machine.
func (m *Member) dial(to role.ID) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, evidence, err := m.dialAll(ctx)
	for began := time.Now(); evidence == peer.NoAnswer && time.Since(began) < endingTime; {
		time.Sleep(endingPause)
		c, evidence, err = m.dialAll(ctx)
	}
	m.post(func() {
		m.reportDial(evidence, err)
		if evidence == peer.Connected {
			if _, ok := m.current(c); ok {
				return // Connected was reported
			}
		}
		m.step(role.DialFailed{To: to, Dead: evidence == peer.Refused})
	})
}

// dialAll dials the addresses of the other machine until one answers. It returns Refused only if all
// refuse.
func (m *Member) dialAll(ctx context.Context) (c *peer.Conn, all peer.Evidence, err error) {
	addresses, err := m.dialer.addresses(ctx)
	if err != nil || len(addresses) == 0 {
		return nil, peer.NoAnswer, err
	}
	all = peer.Refused
	for _, address := range addresses {
		c, evidence, failed := m.endpoint.Dial(ctx, address)
		if evidence == peer.Connected {
			m.dialer.keep(address)
			return c, evidence, nil
		}
		if err = failed; evidence != peer.Refused {
			all = evidence
		}
	}
	if all != peer.Refused {
		m.dialer.keep(netip.AddrPort{})
	}
	return nil, all, err
}

// reportDial reports a problem of the latest Dial in the log, if it differs from the one before.
func (m *Member) reportDial(evidence peer.Evidence, err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	m.mu.Lock()
	changed := m.status.Peer.Problem != problem
	m.status.Peer.Problem = problem
	m.mu.Unlock()
	switch {
	case !changed || problem == "":
	case evidence == peer.Untrusted:
		m.cfg.Log.Error("the process at the address of --peer is not the other machine; check --peer, and that --peer-trusted of each machine is the public key of the other", "address", m.cfg.Address, "error", err)
	case evidence == peer.Refused:
		m.cfg.Log.Info("the other machine refuses the connection, so that its process does not run", "address", m.cfg.Address)
	default:
		m.cfg.Log.Warn("the other machine does not answer, which proves nothing", "address", m.cfg.Address, "error", err)
	}
}
