// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// scripted is a warm standby whose steps a test decides.
type scripted struct {
	t        *testing.T
	endpoint *peer.Endpoint
	address  netip.AddrPort
	received chan onConn
	// answers is true while the standby answers queries.
	answers atomic.Bool
}

// onConn is a message and its connection.
type onConn struct {
	conn    *peer.Conn
	message peer.Message
}

func (*scripted) Connected(*peer.Conn) {}
func (s *scripted) Received(c *peer.Conn, m peer.Message) {
	if q, ok := m.(*peer.Query); ok && s.answers.Load() {
		c.Send(&peer.Answer{ID: q.ID, State: scriptedState(role.Standby, peer.Term{})})
	}
	s.received <- onConn{c, m}
}
func (*scripted) Ended(*peer.Conn, peer.Ending, error) {}

func scriptedState(r role.State, term peer.Term) peer.State {
	return peer.State{Role: string(r), Term: term, Warm: true}
}

// runScripted returns an active member, and a standby that takes the place of the other one, with their
// connection. The standby has dialled: its listener is open, so that nothing proves its end, and accepts nothing.
func runScripted(t *testing.T) (a *machine, s *scripted, c *peer.Conn) {
	t.Helper()
	a, b := newMachines(t)
	s = newScripted(a, b, b.role.Self)
	s.answers.Store(true)
	a.run()
	c = s.dial()
	a.want("activate Started")
	s.answers.Store(false)
	a.waitStatus(func(s Status) bool { return s.Peer.State == role.Standby })
	return a, s, c
}

// newScripted returns a process of the machine b, with its key.
func newScripted(a, b *machine, id role.ID) *scripted {
	s := &scripted{t: a.t, received: make(chan onConn, 1000)}
	s.address = netip.MustParseAddrPort(a.listener.Addr().String())
	var err error
	s.endpoint, err = peer.New(peer.Config{
		Group: "pair", Identity: identity(id), Certificate: b.cfg.Certificate, Timeout: &b.cfg.Timeout,
		Trusted: func(f peer.Fingerprint) bool { return f == b.cfg.Trusted }, Interval: b.role.Heartbeat(), Silence: Duration,
		Handler: s, Log: slog.New(slog.DiscardHandler),
	}, scriptedState(role.Standby, peer.Term{}))
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(s.endpoint.Close)
	return s
}

// dial connects to the member.
func (s *scripted) dial() *peer.Conn {
	s.t.Helper()
	c, evidence, err := s.endpoint.Dial(s.t.Context(), s.address)
	if err != nil {
		s.t.Fatalf("%s: %v", evidence, err)
	}
	return c
}

// wantHandOver waits for the hand-over on a connection, and returns the knowledge before it.
func (s *scripted) wantHandOver(c *peer.Conn) (term peer.Term, known []*peer.Knowledge) {
	s.t.Helper()
	for limit := time.After(timeout); ; {
		select {
		case got := <-s.received:
			if got.conn != c {
				continue
			}
			switch m := got.message.(type) {
			case *peer.HandOver:
				return m.Term, known
			case *peer.Knowledge:
				known = append(known, m)
			}
		case <-c.Done():
			s.t.Fatal("the connection has ended without a hand-over")
		case <-limit:
			s.t.Fatal("no hand-over arrives")
		}
	}
}

// The connection with the hand-over is closed in favour of another one, which happens if both members have
// dialled. The standby does not process the messages of the connection that it closes.
func TestMember_HandOverIsLostWithItsConnection_IsRepeatedOnTheOther(t *testing.T) {
	for name, replace := range map[string]func(s *scripted, first *peer.Conn) *peer.Conn{
		"the other one is connected first": func(s *scripted, _ *peer.Conn) *peer.Conn { return s.dial() },
		"the first one is closed first": func(s *scripted, first *peer.Conn) *peer.Conn {
			first.Close()
			<-first.Done()
			return s.dial()
		},
	} {
		for _, ends := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				a, s, first := runScripted(t)
				a.SetKnowledge(&peer.Knowledge{Bridge: "x", Sides: map[string]peer.SideKnowledge{"remote": {Active: "backup", FreeQoS2Blocks: 5}}})
				if ends {
					a.Shutdown()
				} else {
					a.HandOver()
				}
				lost, _ := s.wantHandOver(first)
				term, known := s.wantHandOver(replace(s, first))
				if term != lost {
					t.Errorf("the term is %+v, and was %+v", term, lost)
				}
				if len(known) != 1 || known[0].Sides["remote"].FreeQoS2Blocks != 5 {
					t.Errorf("the knowledge before the hand-over is %+v", known)
				}
				s.endpoint.SetState(scriptedState(role.Active, term))
				a.want("drain", "deactivate")
				if !ends {
					a.waitStatus(func(s Status) bool { return s.State == role.Standby && s.Peer.State == role.Active })
					return
				}
				if err := <-a.ended; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// The process of the other machine has been killed and started again while this one was frozen. The hello of the
// next process is read before the end of the earlier connection.
func TestMember_AnotherProcessReplacesTheConnection_ItsAnswerConfirms(t *testing.T) {
	a, b := newMachines(t)
	earlier, next := newScripted(a, b, b.role.Self), newScripted(a, b, role.ID{Pod: b.role.Self.Pod, Process: "next"})
	earlier.answers.Store(true)
	a.run()
	earlier.dial()
	a.want("activate Started")
	earlier.answers.Store(false)
	next.answers.Store(true)
	next.dial()
	a.post(func() { a.tickedAt.Store(int64(uptime() - a.role.FreezeLimit())) }) // as if the process were frozen here
	a.want("deactivate", "activate Confirmed")
}
