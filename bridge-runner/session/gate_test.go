// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// newGate returns an open gate that permits each CONNECT.
func newGate() (g *Gate, frozen *atomic.Bool) {
	frozen = &atomic.Bool{}
	g = &Gate{Permit: func(context.Context) error { return nil }, Frozen: frozen.Load}
	g.Open()
	return g, frozen
}

func TestGate_NotPermitted_WritesNoConnect(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		g, _ := newGate()
		g.Permit = func(context.Context) error { return context.Canceled }
		p.cfg.Gate = g
		c, done := p.dial()
		c.WantEnd()
		if o := <-done; !IsNotPermitted(o.err) {
			t.Errorf("Open: %v", o.err)
		}
	})
}

func TestGate_Closed_WritesNoConnect(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		g, _ := newGate()
		g.Close()
		p.cfg.Gate = g
		c, done := p.dial()
		c.WantEnd()
		if o := <-done; !IsNotPermitted(o.err) {
			t.Errorf("Open: %v", o.err)
		}
	})
}

func TestGate_ClosedDuringHandshake_EndsTheAttempt(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		g, _ := newGate()
		p.cfg.Gate = g
		c, done := p.dial()
		c.Next() // CONNECT
		g.Close()
		if o := <-done; !IsNotPermitted(o.err) {
			t.Errorf("Open: %v", o.err)
		}
	})
}

func TestGate_ClosedBeforeStart_EndsTheSession(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		g, _ := newGate()
		p.cfg.Gate = g
		c, done := p.dial()
		c.Next()
		c.Send(script.Connack(false, nil))
		o := <-done
		g.Close()
		l := p.use(c, o)
		select {
		case <-l.s.Done():
		case <-time.After(script.Timeout):
			t.Fatal("the session has not ended")
		}
		c.WantEnd()
	})
}

func TestGate_ClosedOrFrozen_DropsUnsentPacketsAndEndsTheSession(t *testing.T) {
	for name, block := range map[string]func(*Gate, *atomic.Bool){
		"closed": func(g *Gate, _ *atomic.Bool) { g.Close() },
		"frozen": func(_ *Gate, frozen *atomic.Bool) { frozen.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, p *peer) {
				g, frozen := newGate()
				p.cfg.Gate = g
				l := p.new()
				l.s.Publish(&Outgoing{Message: Message{Topic: "t", QoS: 1}}, time.Now())
				block(g, frozen)
				l.s.flusher.Flush()
				l.c.WantEnd()
				<-l.s.Done()
				if err := l.s.Err(); !IsNotPermitted(err) {
					t.Errorf("the session ended with %v", err)
				}
			})
		})
	}
}

func TestGate_OpenAgain_PermitsSessions(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		g, _ := newGate()
		g.Close()
		g.Open()
		p.cfg.Gate = g
		p.new()
	})
}
