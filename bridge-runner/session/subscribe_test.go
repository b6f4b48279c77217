// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// many returns n subscriptions with different identifiers.
func many(n int) []Subscription {
	var all []Subscription
	for i := range n {
		all = append(all, Subscription{Filter: fmt.Sprintf("f%d", i), QoS: 1, ID: uint32(i + 1)})
	}
	return all
}

// subscribing starts SetSubscriptions, and returns a channel for its error.
func (l *link) subscribing(subscriptions []Subscription) <-chan error {
	done := make(chan error, 1)
	go func() { done <- l.s.SetSubscriptions(l.t.Context(), subscriptions) }()
	return done
}

// granted returns the SUBACK that grants all subscriptions of a SUBSCRIBE.
func granted(p script.Packet) script.Packet {
	codes := make([]byte, len(p.Subscriptions))
	for i := range codes {
		codes[i] = p.Subscriptions[i].QoS
	}
	return script.Packet{Type: v5.SUBACK, ID: p.ID, Codes: codes}
}

// wantError waits for the error of SetSubscriptions.
func (l *link) wantError(done <-chan error, reason, message string) {
	l.t.Helper()
	select {
	case err := <-done:
		if _, ok := err.(*Error); !ok { //nolint:errorlint // the type must be exactly this
			l.t.Fatalf("%v is not an *Error", err)
		}
		if e := Explain(err); e.Reason != reason || !strings.Contains(e.Message, message) {
			l.t.Errorf("%v, want %s: %s", err, reason, message)
		}
	case <-time.After(script.Timeout):
		l.t.Fatal("SetSubscriptions does not return")
	}
}

func TestSubscribe_ManyFilters_PacketsOfAtMost8FiltersAtOnce(t *testing.T) {
	one := byte(1)
	for _, c := range []struct {
		v         packet.Version
		announced *v5.Properties
		packets   int
	}{
		{packet.V311, nil, 8},
		{packet.V5, &v5.Properties{SubIDAvailable: new(byte(0))}, 8},
		{packet.V5, &v5.Properties{SubIDAvailable: &one}, 64},                                             // one identifier each
		{packet.V5, &v5.Properties{SubIDAvailable: new(byte(0)), MaximumPacketSize: new(uint32(20))}, 31}, // [MQTT-3.2.2-15]
	} {
		t.Run(fmt.Sprintf("version=%d, packets=%d", c.v, c.packets), func(t *testing.T) {
			l := newPeer(t, c.v).connect(script.Connack(false, c.announced))
			done := l.subscribing(many(64))
			var (
				all  []script.Packet // none is answered before all have arrived
				next int
			)
			for range c.packets {
				p := l.c.Next()
				if p.Type != v5.SUBSCRIBE || p.ID < 65280 || len(p.Subscriptions) > 8 || slices.ContainsFunc(all, func(o script.Packet) bool { return o.ID == p.ID }) {
					t.Fatalf("got %s", p)
				}
				for _, s := range p.Subscriptions {
					if want := fmt.Sprintf("f%d", next); s.Topic != want {
						t.Errorf("%s, want %s", s.Topic, want)
					}
					next++
				}
				all = append(all, p)
			}
			slices.Reverse(all) // in any order
			for _, p := range all {
				l.c.Send(script.Packet{Type: v5.SUBACK, ID: 300, Codes: []byte{0}}, granted(p), granted(p)) // without a SUBSCRIBE, and twice
			}
			if err := <-done; err != nil || next != 64 || !l.s.State().Subscribed() {
				t.Errorf("%v; %d filters", err, next)
			}
			l.sync()
		})
	}
}

func TestSubscribe_FilterBeyondTheMaximumPacketSize_IsNamed(t *testing.T) {
	l := newPeer(t, packet.V5).connect(script.Connack(false, &v5.Properties{MaximumPacketSize: new(uint32(20))}))
	l.wantError(l.subscribing([]Subscription{{Filter: "a"}, {Filter: strings.Repeat("b", 20)}}), "SubscriptionRefused",
		`the subscription to "bbbbbbbbbbbbbbbbbbbb" is larger than the server's maximum packet size of 20 bytes; raise this limit on the server, or shorten the rule's filter`)
}

func TestSubscribe_SomeRefused_EachIsNamed(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		done := l.subscribing(many(20))
		for n := 0; n < 20; {
			asked := l.c.Next()
			ack := granted(asked)
			for i, s := range asked.Subscriptions {
				if s.Topic == "f3" || s.Topic == "f17" {
					ack.Codes[i] = 0x80
				}
				n++
			}
			l.c.Send(ack)
		}
		l.wantError(done, "SubscriptionRefused", `the server refuses 2 subscriptions; allow the bridge's user to subscribe to them, or change the rules' filters: "f3"; "f17"`)
	})
}

func TestSubscribe_SessionEndsMeanwhile_ErrorNamesTheFilters(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		done := l.subscribing(many(20))
		first := l.c.Next()
		l.c.Send(granted(first))
		if p.v5() {
			l.c.Send(script.Packet{Type: v5.DISCONNECT, Code: 0x97})
			l.wantError(done, "QuotaExceeded", `while subscribing to "f1", "f2", "f3" and 16 more: the server's quota is exceeded (DISCONNECT 0x97); raise it on the server; check that the server allows`)
			return
		}
		_ = l.c.CloseWrite() // behind the SUBACK
		l.wantError(done, "ConnectionClosed", `while subscribing to "f8", "f9", "f10" and 9 more: the server or the network closed the connection; check the server's log; check that the server allows`)
	})
}

// shortConnect is the connect timeout of these tests. Events that must occur within it
// occur far sooner.
const shortConnect = 400 * time.Millisecond

// Messages that a server has queued may arrive before its SUBACK, on a slow link for longer
// than the connect timeout.
func TestSubscribe_MessagesBeforeSuback_ExtendConnectTimeout(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.ConnectTimeout = shortConnect
		l := p.new()
		start := time.Now()
		done := l.subscribing(many(1))
		asked := l.c.Next()
		whole := l.c.Encode(script.Publish(1, 1, "t", strings.Repeat("x", 64)))
		tick := time.NewTicker(shortConnect / 8)
		defer tick.Stop()
		for i := range whole[:32] { // a large message, byte by byte
			<-tick.C
			l.c.SendBytes(whole[i : i+1])
		}
		l.c.SendBytes(whole[32:])
		for range 16 { // and many small ones
			<-tick.C
			l.c.Send(script.Publish(0, 0, "t", "y"))
		}
		l.c.Send(granted(asked))
		if err := <-done; err != nil || time.Since(start) < 3*shortConnect {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestSubscribe_ServerFallsSilent_FailsWithinTheConnectTimeout(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.ConnectTimeout, p.cfg.KeepAlive = shortConnect, time.Second
		l := p.new()
		done := l.subscribing(many(1))
		l.c.Next()
		l.c.Send(script.Publish(0, 0, "t", "y"))
		start := time.Now()
		l.wantError(done, "ConnectTimeout", `while subscribing to "f0": the server did not answer SUBSCRIBE within failover.connectTimeoutSeconds`)
		if took := time.Since(start); took < shortConnect/2 || took > shortConnect+slack {
			t.Errorf("after %v", took)
		}
	})
}

// SetSubscriptions must not wait for a server that answers pings and never the SUBSCRIBE.
func TestSubscribe_OnlyPingsAnswered_FailsWithinTheConnectTimeout(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.ConnectTimeout = shortConnect
		l := p.new()
		done := l.subscribing(many(1))
		l.c.Next()
		start := time.Now()
		tick := time.NewTicker(shortConnect / 8)
		defer tick.Stop()
		for range 8 * 20 {
			select {
			case err := <-done:
				if took := time.Since(start); took > 2*shortConnect+slack || !strings.Contains(Explain(err).Message, "did not answer SUBSCRIBE") {
					t.Errorf("%v after %v", err, took)
				}
				return
			case <-tick.C:
				_, _ = l.c.Write([]byte(l.c.Encode(script.Packet{Type: v5.PINGRESP}))) // the connection may be closed
			}
		}
		t.Error("SetSubscriptions waits while pings are answered")
	})
}

// A message that the handler receives during an attempt that fails is acknowledged: at once
// if the destination has it already, otherwise when the server sends it again.
func TestSubscribe_FailsAfterMessages_AcknowledgementsAreNotLost(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.ConnectTimeout = shortConnect
		l := p.new()
		done := l.subscribing(many(1))
		l.c.Next()
		l.c.Send(script.Publish(1, 1, "t", "early"), script.Publish(2, 1, "t", "late"), script.Publish(3, 2, "t", "exact"))
		l.want("received early", "received late", "received exact")
		l.mu.Lock()
		in := slices.Clone(l.in)
		l.mu.Unlock()
		in[0].Ack() // not flushed: Close flushes it
		l.wantError(done, "ConnectTimeout", "did not answer SUBSCRIBE")
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			l.s.Close()
		}()
		l.c.WantEnd("PUBACK 1", "DISCONNECT")
		_ = l.c.Close()
		<-closed
		in[1].Ack()
		in[2].Ack()
		l = p.resume()
		l.c.Send(script.Duplicate(script.Publish(2, 1, "t", "late")), script.Duplicate(script.Publish(3, 2, "t", "exact")))
		l.want("redelivered late", "redelivered exact")
		l.c.Want("PUBACK 2", "PUBREC 3")
	})
}

func TestShortfalls_LowerQoSAndShorterExpiry_NamedUntilResolved(t *testing.T) {
	p := newPeer(t, packet.V5)
	p.cfg.SessionExpiry = 3600
	subscribe := func(l *link, codes ...byte) {
		t.Helper()
		done := l.subscribing([]Subscription{{Filter: "a/#", QoS: 2}, {Filter: "b", QoS: 1}})
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.c.Next().ID, Codes: codes})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	want := func(l *link, want ...string) {
		t.Helper()
		var got []string
		for _, s := range ExplainShortfalls(l.s.Shortfalls(0)) {
			got = append(got, s.Reason+": "+s.Message)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	const (
		once    = `QoSLowered: the server grants a lower QoS than the rules request, so that messages may arrive twice; allow the QoS on the server, or set the rules' qos to the granted QoS: "a/#" (QoS 1 instead of 2)`
		lost    = `QoSLowered: the server grants a lower QoS than the rules request, so that messages are lost while the bridge is disconnected; allow the QoS on the server, or set the rules' qos to the granted QoS: "a/#" (QoS 1 instead of 2), "b" (QoS 0 instead of 1)`
		shorter = "SessionExpiryLowered: the server keeps the session for 1m without a connection (sessionExpiry: 1h), so that messages are lost during a longer outage; raise the server's limit, or set sessionExpiry: 1m if this time is long enough"
		none    = "SessionExpiryLowered: the server deletes the session when the connection ends (sessionExpiry: 1h), so that messages are lost while the bridge is disconnected; allow persistent sessions on the server, or set cleanSession: true if these messages are not needed"
	)
	l := p.connect(script.Connack(false, &v5.Properties{SessionExpiryInterval: new(uint32(60))}))
	subscribe(l, 1, 1)
	want(l, once, shorter)
	l.cut()
	l = p.resume() // without another SUBSCRIBE, and with the requested expiry
	want(l, once)
	l.cut()
	l = p.connect(script.Connack(false, &v5.Properties{SessionExpiryInterval: new(uint32(0))}))
	subscribe(l, 1, 0)
	want(l, lost, none)
	l.cut()
	l = p.connect(script.Connack(false, &v5.Properties{SessionExpiryInterval: new(uint32(7200))}))
	subscribe(l, 2, 2)
	want(l)
	p.cfg.CleanStart = true
	l.cut()
	want(p.connect(script.Connack(false, &v5.Properties{SessionExpiryInterval: new(uint32(0))})))
}

func TestShortfalls_MaximumQoSBelowRules_IsNamed(t *testing.T) {
	for _, c := range []struct {
		maximum, rules byte
		want           string
	}{
		{2, 2, ""},
		{1, 1, ""},
		{1, 2, "the server accepts messages at QoS 1 at most and the rules request QoS 2, so that messages may arrive twice; allow the QoS on the server, or lower the rules' qos to 1"},
		{0, 0, ""},
		{0, 1, "the server accepts messages at QoS 0 at most and the rules request QoS 1, so that messages are lost when the connection fails; allow the QoS on the server, or lower the rules' qos to 0"},
	} {
		p := newPeer(t, packet.V5)
		l := p.connect(script.Connack(false, &v5.Properties{MaximumQOS: new(c.maximum)}))
		var got []string
		for _, s := range ExplainShortfalls(l.s.Shortfalls(c.rules)) {
			got = append(got, s.Reason+": "+s.Message)
		}
		if want := "QoSLowered: " + c.want; c.want == "" && got != nil || c.want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("maximum %d, rules %d: got %q\nwant %s", c.maximum, c.rules, got, c.want)
		}
		if c.want == "" || c.rules < 2 {
			continue
		}
		done := l.subscribing([]Subscription{{Filter: "a", QoS: 1}})
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.c.Next().ID, Codes: []byte{0}})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if all := ExplainShortfalls(l.s.Shortfalls(c.rules)); len(all) != 1 || !strings.HasPrefix(all[0].Message, c.want+"; the server grants a lower QoS than the rules request") {
			t.Errorf("with a lowered subscription: %q", all)
		}
	}
}
