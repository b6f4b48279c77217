// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// ends reports the ends of the connections of an endpoint.
type ends chan peer.Ending

func (ends) Connected(*peer.Conn)                           {}
func (ends) Received(*peer.Conn, peer.Message)              {}
func (e ends) Ended(_ *peer.Conn, how peer.Ending, _ error) { e <- how }

// A process with a trusted key must not speak for a member with another key.
func TestMember_IdentityDoesNotBelongToTheKey_IsDisconnected(t *testing.T) {
	a, b := newMachines(t)
	a.run()
	address := netip.MustParseAddrPort(a.listener.Addr().String())
	for pod, want := range map[string]bool{b.role.Self.Pod: true, "another": false} {
		ended := make(ends, 1)
		endpoint, err := peer.New(peer.Config{
			Group: "pair", Identity: identity(role.ID{Pod: pod, Process: "1"}),
			Certificate: b.cfg.Certificate, Trusted: b.directory.trusted,
			Interval: time.Second, Silence: time.Minute, Handler: ended, Log: slog.New(slog.DiscardHandler),
		}, peer.State{Role: string(role.Standby)})
		if err != nil {
			t.Fatal(err)
		}
		if _, evidence, err := endpoint.Dial(t.Context(), address); evidence != peer.Connected {
			t.Fatalf("%s: %v", evidence, err)
		}
		if want {
			a.waitStatus(func(s Status) bool { return s.Peer.Connected })
		} else {
			select {
			case <-ended:
			case <-time.After(timeout):
				t.Error("the connection lasts")
			}
			if s := a.Status(); s.Peer.Connected {
				t.Errorf("the status is %+v", s)
			}
		}
		endpoint.Close()
		a.waitStatus(func(s Status) bool { return !s.Peer.Connected })
	}
}
