// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// tcp returns the TCP connection of a TLS connection.
func tcp(t *testing.T, c *tls.Conn) *net.TCPConn {
	t.Helper()
	conn, ok := c.NetConn().(*net.TCPConn)
	if !ok {
		t.Fatalf("%T is no TCP connection", c.NetConn())
	}
	return conn
}

func TestConn_EndOfTheOtherEnd_IsReportedByItsCause(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(t *testing.T, p *pairOf, a *Conn)
		want Ending
	}{
		"the process leaves": {func(_ *testing.T, p *pairOf, _ *Conn) { p.a.Close() }, Left},
		"closed":             {func(_ *testing.T, _ *pairOf, a *Conn) { a.Close() }, ClosedByPeer},
		"FIN":                {func(t *testing.T, _ *pairOf, a *Conn) { _ = tcp(t, a.conn).CloseWrite() }, Abrupt},
		"RST": {func(t *testing.T, _ *pairOf, a *Conn) {
			_ = tcp(t, a.conn).SetLinger(0)
			_ = a.conn.NetConn().Close()
		}, Abrupt},
		"close notification of TLS": {func(_ *testing.T, _ *pairOf, a *Conn) { _ = a.conn.CloseWrite() }, Abrupt},
		"damaged record":            {func(t *testing.T, _ *pairOf, a *Conn) { _, _ = tcp(t, a.conn).Write(make([]byte, 64)) }, Faulty},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, func(c *Config) { c.Interval, c.Silence = time.Hour, 2*time.Hour })
			a, b := p.connect(t)
			test.end(t, p, a)
			if got := p.fromB.wantEnding(t, test.want); got.conn != b {
				t.Error("another connection ended")
			}
			await(t, b.Done(), "Done")
			if b.Send(&Query{}) {
				t.Error("Send accepts a message after the end")
			}
		})
	}
}

func TestConn_CloseAfterMessages_DeliversThemBeforeTheGoodbye(t *testing.T) {
	p := newPair(t, nil)
	a, b := p.connect(t)
	go func() { // traffic against the direction of the goodbye
		for len(p.fromB.ended) == 0 {
			b.Send(&AskHandOver{})
			time.Sleep(10 * time.Microsecond)
		}
	}()
	for i := range 20 {
		a.Send(&Query{ID: uint64(i)})
	}
	a.Send(&HandOver{Term{Lease: 20}})
	p.a.Close()
	for {
		m := await(t, p.fromB.received, "the last message")
		if last, ok := m.(*HandOver); ok && last.Lease == 20 {
			break
		}
	}
	p.fromB.wantEnding(t, Left)
	p.fromA.wantEnding(t, Local)
}

// A goodbye that has arrived is read, also if the connection was reset meanwhile.
func TestConn_ResetAfterGoodbye_Leaves(t *testing.T) {
	p := newPair(t, nil)
	held := &holdingHandler{recorder: p.fromB, release: make(chan struct{})}
	p.b.cfg.Handler = held
	c := p.rawClient(t)
	if _, err := c.Write(append(raw(rawHello), raw(`{"kind":"Goodbye","body":{"leaves":true}}`)...)); err != nil {
		t.Fatal(err)
	}
	b := await(t, p.fromB.connected, "the connection")
	_ = tcp(t, c).SetLinger(0)
	_ = c.NetConn().Close()
	for b.Send(&Query{}) { // until the writer has failed
		time.Sleep(time.Millisecond)
	}
	close(held.release)
	p.fromB.wantEnding(t, Left)
}

// holdingHandler does not return from Connected before release is closed.
type holdingHandler struct {
	*recorder
	release chan struct{}
}

func (h *holdingHandler) Connected(c *Conn) {
	h.recorder.Connected(c)
	<-h.release
}

func TestConn_Timeout_IsSilenceUnlessThisProcessWasFrozen(t *testing.T) {
	p := newPair(t, nil)
	message := raw(`{"kind":"Query","body":{"id":5}}`)
	for name, test := range map[string]struct {
		late time.Duration // the time from the deadline to its error
		then []byte
		want error
	}{
		"silence":                 {0, message, os.ErrDeadlineExceeded},
		"frozen, then a message":  {3 * interval, message, nil},
		"frozen, then no message": {3 * interval, nil, os.ErrDeadlineExceeded},
		"frozen, then the FIN":    {3 * interval, []byte{}, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			end, other := net.Pipe()
			defer func() { _ = errors.Join(end.Close(), other.Close()) }()
			c := &Conn{endpoint: p.a, conn: tls.Client(end, p.a.client), key: connKey{fingerprint: p.fingerB}}
			c.in = newFrameReader(&lateReader{late: silence + test.late, then: test.then})
			m, err := c.next()
			if !errors.Is(err, test.want) || err == nil && m.kind() != "Query" {
				t.Errorf("next returns %v, %v; want %v", m, err, test.want)
			}
		})
	}
}

// lateReader reports that the deadline has passed, and then returns the data; nil means that it passes
// again.
type lateReader struct {
	late time.Duration
	then []byte
	read int
}

func (r *lateReader) Read(p []byte) (int, error) {
	r.read++
	switch {
	case r.read == 1:
		time.Sleep(r.late)
		return 0, os.ErrDeadlineExceeded
	case r.then == nil:
		return 0, os.ErrDeadlineExceeded
	case r.read == 2 && len(r.then) > 0:
		return copy(p, r.then), nil
	}
	return 0, io.EOF
}

func TestConn_LocalClose_ReportsLocalOnceAndNoLaterMessage(t *testing.T) {
	p := newPair(t, nil)
	a, b := p.connect(t)
	a.Close()
	a.Close()
	b.Send(&Query{})
	p.fromA.wantEnding(t, Local)
	p.fromB.wantEnding(t, ClosedByPeer)
	time.Sleep(interval)
	if len(p.fromA.ended)+len(p.fromA.received) > 0 {
		t.Error("an event follows the end")
	}
}

func TestConn_BlackHole_EndsBySilenceOnBothSides(t *testing.T) {
	p := newPair(t, nil)
	proxy := mqtttest.StartProxy(t, p.address.String(), 0)
	p.address = netip.MustParseAddrPort(strings.TrimPrefix(proxy.URL(), "mqtt://"))
	p.connect(t)
	await(t, p.fromB.beats, "a heartbeat")
	proxy.BlackHole(true)
	began := time.Now()
	for _, events := range []*recorder{p.fromA, p.fromB} {
		took := events.wantEnding(t, Silent).at.Sub(began)
		if took < silence-2*interval || took > silence+testTimeout/2 {
			t.Errorf("the silence was reported after %s, want %s", took, silence)
		}
	}
}

// A busy Handler delays the messages, and is no silence of the other member.
func TestConn_SlowHandler_IsNoSilence(t *testing.T) {
	p := newPair(t, nil)
	slow := &slowHandler{recorder: p.fromB, pause: 3 * silence / 4}
	p.b.cfg.Handler = slow
	a, _ := p.connect(t)
	for range 3 {
		a.Send(&Query{})
	}
	for range 3 {
		await(t, p.fromB.received, "a query")
	}
	if len(p.fromB.ended) > 0 {
		t.Errorf("the connection ended: %v", <-p.fromB.ended)
	}
}

type slowHandler struct {
	*recorder
	pause time.Duration
}

func (h *slowHandler) Received(c *Conn, m Message) {
	if _, ok := m.(*Query); ok {
		time.Sleep(h.pause)
	}
	h.recorder.Received(c, m)
}

func TestEndpoint_SameMemberConnectsAgain_ReplacesItsConnection(t *testing.T) {
	p := newPair(t, nil)
	_, first := p.connect(t)
	_, second := p.connect(t)
	// Both ends replace it. If the other end is faster, it is lost.
	if got := await(t, p.fromB.ended, "the end of the earlier connection"); got.conn != first || got.how != Replaced && got.how != Abrupt {
		t.Errorf("the earlier connection: %t, %q (%v)", got.conn == first, got.how, got.err)
	}
	second.Send(&Query{ID: 2})
	await(t, p.fromA.received, "a message on the later connection")
}

func TestEndpoint_BothDial_HaveTwoConnections(t *testing.T) {
	p := newPair(t, nil)
	p.connect(t)
	dial(t, p.b, serve(t, p.a))
	await(t, p.fromA.connected, "the second connection at a")
	if len(p.fromA.ended)+len(p.fromB.ended) > 0 {
		t.Error("a connection ended")
	}
}

func TestConn_TrustWithdrawn_Ends(t *testing.T) {
	p := newPair(t, nil)
	var withdrawn atomic.Bool
	pair, f := certificate(t)
	c, events := start(t, "c", pair, func(f Fingerprint) bool { return f == p.fingerA && !withdrawn.Load() }, nil)
	address := serve(t, c)
	a, _ := start(t, "a", p.certA, trust(f), nil)
	dial(t, a, address)
	await(t, events.connected, "the connection")
	withdrawn.Store(true)
	events.wantEnding(t, TrustLost)
	if _, evidence, err := a.Dial(t.Context(), address); evidence != Untrusted {
		t.Errorf("dialling again: %s: %v", evidence, err)
	}
}
