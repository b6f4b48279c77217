// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"net/netip"
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

// startDial carries out a Dial of the machine, after the Dial to the same pod under way if there is one. Two
// connections by the same member replace each other, and the end of each would be a reason for the next
// Dial.
func (m *Member) startDial(to role.ID) {
	if m.dialing[to.Pod] {
		m.nextDial[to.Pod] = to
		return
	}
	m.dialing[to.Pod] = true
	go m.dial(to)
}

// dialEnded carries out the Dial to the same pod that waits, unless it is not necessary any more.
func (m *Member) dialEnded(pod string) {
	delete(m.dialing, pod)
	next, waits := m.nextDial[pod]
	delete(m.nextDial, pod)
	switch {
	case !waits:
	case m.isConnected(pod):
		m.step(role.DialFailed{To: next})
	default:
		m.startDial(next)
	}
}

func (m *Member) isConnected(pod string) bool {
	for id := range m.conns {
		if id.Pod == pod {
			return true
		}
	}
	return false
}

// dial dials another member, and reports the result.
func (m *Member) dial(to role.ID) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, evidence, err := m.dialAll(ctx, to)
	for began := time.Now(); evidence == peer.NoAnswer && time.Since(began) < endingTime; {
		time.Sleep(endingPause)
		c, evidence, err = m.dialAll(ctx, to)
	}
	m.post(func() {
		defer m.dialEnded(to.Pod)
		if !m.isConnected(to.Pod) || err == nil {
			m.reportDial(evidence, err)
		}
		if evidence == peer.Connected {
			if id, ok := m.current(c); ok && id.Pod == to.Pod {
				return // Connected was reported
			}
		}
		m.step(role.DialFailed{To: to, Dead: m.provesDeath(to, c, evidence, err)})
	})
}

// provesDeath reports whether the result of a Dial proves that the process of a member has ended: its host
// refuses the connection, or another process answers. It is no proof if the other end does not trust this
// process.
func (m *Member) provesDeath(to role.ID, c *peer.Conn, evidence peer.Evidence, err error) bool {
	var untrusted *peer.UntrustedError
	switch {
	case evidence == peer.Connected:
		return m.directory.replaced(to, c.Fingerprint())
	case errors.As(err, &untrusted):
		return m.directory.replaced(to, untrusted.Fingerprint)
	}
	return evidence == peer.Refused
}

// dialAll dials the addresses of a member until one answers. It returns Refused only if all
// refuse.
func (m *Member) dialAll(ctx context.Context, to role.ID) (c *peer.Conn, all peer.Evidence, err error) {
	addresses, err := m.directory.addresses(ctx, to)
	if err != nil || len(addresses) == 0 {
		return nil, peer.NoAnswer, err
	}
	all = peer.Refused
	for _, address := range addresses {
		c, evidence, failed := m.endpoint.Dial(ctx, address)
		if evidence == peer.Connected {
			m.directory.keep(address)
			return c, evidence, nil
		}
		if err = failed; evidence != peer.Refused {
			all = evidence
		}
	}
	if all != peer.Refused {
		m.directory.keep(netip.AddrPort{})
	}
	return nil, all, err
}

// reportDial reports a problem of the latest Dial in the log, if it differs from the one before.
func (m *Member) reportDial(evidence peer.Evidence, err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	changed := m.dialProblem != problem
	m.dialProblem = problem
	switch {
	case !changed || problem == "":
	case m.store != nil:
		m.cfg.Log.Info("another member cannot be reached", "evidence", string(evidence), "error", err)
	case evidence == peer.Untrusted:
		m.cfg.Log.Error("the process at the address of --peer is not the other machine; check --peer, and that --peer-trusted of each machine is the public key of the other", "address", m.cfg.Address, "error", err)
	case evidence == peer.Refused:
		m.cfg.Log.Info("the other machine refuses the connection, so that its process does not run", "address", m.cfg.Address)
	default:
		m.cfg.Log.Warn("the other machine does not answer, which proves nothing", "address", m.cfg.Address, "error", err)
	}
}
