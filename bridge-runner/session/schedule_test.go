// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// nextCheck returns the time until the next check of the watcher.
func (l *link) nextCheck() time.Duration {
	l.s.state.mu.Lock()
	defer l.s.state.mu.Unlock()
	if l.s.checks.running {
		return 0
	}
	return time.Until(l.s.checks.at)
}

// wantNextCheck waits until the time until the next check is between the limits.
func (l *link) wantNextCheck(when string, low, high time.Duration) {
	l.t.Helper()
	var left time.Duration
	for deadline := time.Now().Add(script.Timeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if left = l.nextCheck(); low < left && left <= high {
			return
		}
	}
	l.t.Fatalf("%s: the next check takes place in %v, want %v to %v", when, left, low, high)
}

// A process with many bridges has thousands of idle sessions, so an idle session must not check
// anything before the next PINGREQ is due.
func TestWatch_IdleSession_NextCheckIsAtThePing(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.KeepAlive, p.cfg.PingTimeout, p.cfg.AckTimeout = time.Hour, script.Timeout, script.Timeout
		soon := script.Timeout / 4
		l := p.new()
		l.wantNextCheck("idle", time.Hour/2, time.Hour)
		m := message(1, "x")
		l.publish(m)
		l.c.Want("PUBLISH 1 qos1 t=x")
		l.wantNextCheck("in flight", 0, soon)
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged x")
		l.wantNextCheck("idle again", time.Hour/2, time.Hour)
		l.publish(message(0, "y"))
		l.wantNextCheck("written", 0, soon)
	})
}

func TestWatch_PingAnswered_NextCheckIsAtTheNextPing(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.KeepAlive, p.cfg.PingTimeout, p.cfg.AckTimeout = 4*brief, 4*brief, 4*brief
		l := p.new()
		l.c.Want("PINGREQ")
		l.wantNextCheck("unanswered", 0, brief)
		l.c.Send(script.Packet{Type: v5.PINGRESP})
		l.wantNextCheck("answered", brief, 4*brief)
	})
}

func TestOnGrid_LongTimes_EndAtMultiplesOfTheInterval(t *testing.T) {
	now := processStart.Add(1234567891)
	for _, tt := range []struct{ next, want time.Duration }{
		{0, 0},
		{gridFrom - 1, gridFrom - 1},
		{10 * time.Second, 9765432109},
		{10*time.Second - 1234567891, 10*time.Second - 1234567891},
	} {
		if got := onGrid(now, tt.next); got != tt.want {
			t.Errorf("onGrid(%v) = %v, want %v", tt.next, got, tt.want)
		}
	}
}

func TestSpreadPings_ManySessionsIdleSinceTheSameMoment_AreDistributed(t *testing.T) {
	const sessions, most = 2000, 100
	keepAlive, now := time.Minute, processStart.Add(1234567891)
	together := map[time.Duration]int{}
	for range sessions {
		interval := spreadPings(keepAlive)
		if interval <= keepAlive*3/4 || interval > keepAlive {
			t.Fatalf("a ping after %v with a keep alive of %v", interval, keepAlive)
		}
		together[onGrid(now, interval)]++
	}
	for at, n := range together {
		if n > most {
			t.Errorf("%d of %d pings after %v, want at most %d", n, sessions, at, most)
		}
	}
	if got := spreadPings(gridFrom - 1); got != gridFrom-1 {
		t.Errorf("a ping after %v with a keep alive of %v", got, gridFrom-1)
	}
}
