// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// A server that does not store the answer before it sends it may have done the work, or not.
func TestSetSubscriptions_ConnectionLostBeforeAnswer_RequestsAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		lost   []Subscription // the change whose answer is lost
		packet string
		record string
		wanted []Subscription // on the next connection
		again  []string
	}{
		{"SUBSCRIBE, wanted", at1("a", "b"), "SUBSCRIBE 65280 b:1", "a:1 b:1?", at1("a", "b"), []string{"SUBSCRIBE 65280 b:1"}},
		{"SUBSCRIBE, unwanted", at1("a", "b"), "SUBSCRIBE 65280 b:1", "a:1 b:1?", at1("a"), []string{"UNSUBSCRIBE 65280 b"}},
		{"UNSUBSCRIBE, unwanted", nil, "UNSUBSCRIBE 65280 a", "a:1?", nil, []string{"UNSUBSCRIBE 65280 a"}},
		{"UNSUBSCRIBE, wanted", nil, "UNSUBSCRIBE 65280 a", "a:1?", at1("a"), []string{"SUBSCRIBE 65280 a:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			versions(t, func(_ *testing.T, p *peer) {
				l := p.new()
				l.set(at1("a"), "SUBSCRIBE 65280 a:1")
				done := l.subscribing(c.lost)
				l.next(c.packet)
				l.cut()
				l.wantError(done, "ConnectionClosed", "closed the connection")
				l.wantRecord(c.record)
				l = p.resume()
				l.set(c.wanted, c.again...)
				l.set(c.wanted)
			})
		})
	}
}

// A server may be on standby for years while the filters change.
func TestDoubtSubscriptions_ManyChanges_RecordIsBounded(t *testing.T) {
	s := NewState()
	for i := range 10 * maxDoubted {
		s.DoubtSubscriptions(at1(fmt.Sprint(i)))
	}
	if n := len(s.subscriptions); n != maxDoubted {
		t.Errorf("the record has %d filters, want %d", n, maxDoubted)
	}
}

func TestSetSubscriptions_AttemptFailedHalfway_NextOnlyRequestsTheRest(t *testing.T) {
	p := newPeer(t, packet.V5)
	subscriptions := []Subscription{{Filter: "a", QoS: 1, ID: 1}, {Filter: "b", QoS: 1, ID: 2}}
	l := p.new()
	done := l.subscribing(subscriptions)
	l.c.Send(granted(l.next("SUBSCRIBE 65280 a:1")))
	l.next("SUBSCRIBE 65281 b:1")
	_ = l.c.CloseWrite() // behind the SUBACK
	l.wantError(done, "ConnectionClosed", `while subscribing to "b"`)
	l = p.resume()
	l.set(subscriptions, "SUBSCRIBE 65280 b:1")
}

func TestSetSubscriptions_ServerLostSession_SubscribesToAll(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.set(at1("a", "b"), "SUBSCRIBE 65280 a:1 b:1")
		l.cut()
		l = p.new()
		l.set(at1("a"), "SUBSCRIBE 65280 a:1")
	})
}

// The record does not have the subscriptions of an earlier process.
func TestSetSubscriptions_SessionOfEarlierProcess_SubscribesToAll(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.resume()
		l.s.State().DoubtSubscriptions(at1("old", "a"))
		l.set(at1("a", "b"), "SUBSCRIBE 65280 a:1 b:1", "UNSUBSCRIBE 65280 old")
		l.wantRecord("a:1 b:1")
	})
}

// The subscriptions of MQTT 3.1.1 do not have the option No Local.
func TestSetSubscriptions_OtherVersionResumesSession_SubscribesToAll(t *testing.T) {
	before, after := newPeer(t, packet.V311), newPeer(t, packet.V5)
	l := before.new()
	l.set(at1("a"), "SUBSCRIBE 65280 a:1")
	l.cut()
	after.cfg.State = before.cfg.State
	l = after.resume()
	l.set(at1("a"), "SUBSCRIBE 65280 a:1")
	l.set(at1("a"))
}

func TestSetSubscriptions_LowerQoSGranted_RequestedOncePerConnection(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		wanted := []Subscription{{Filter: "a", QoS: 2}, {Filter: "b", QoS: 1}}
		l := p.new()
		lower := func(packet string, codes ...byte) {
			t.Helper()
			done := l.subscribing(wanted)
			asked := l.next(packet)
			l.c.Send(script.Packet{Type: v5.SUBACK, ID: asked.ID, Codes: codes})
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			l.set(wanted)
			if repeated := len(codes) == 1; p.v5() && repeated != (asked.Subscriptions[0].RetainHandling == 1) {
				t.Errorf("options: %+v", asked.Subscriptions[0])
			}
		}
		lower("SUBSCRIBE 65280 a:2 b:1", 1, 1)
		l.wantRecord("a:2/1 b:1")
		l.cut()
		l = p.resume()
		lower("SUBSCRIBE 65280 a:2", 0)
		l.cut()
		l = p.resume()
		lower("SUBSCRIBE 65280 a:2", 2)
		l.cut()
		l = p.resume()
		l.set(wanted)
	})
}
