// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// at1 returns subscriptions at QoS 1.
func at1(filters ...string) (all []Subscription) {
	for _, f := range filters {
		all = append(all, Subscription{Filter: f, QoS: 1})
	}
	return all
}

// agreed returns the answer that grants or ends all subscriptions of a packet.
func agreed(p script.Packet) script.Packet {
	if p.Type == v5.UNSUBSCRIBE {
		return unsuback(p, make([]byte, len(p.Filters))...)
	}
	return granted(p)
}

// unsuback returns the answer to an UNSUBSCRIBE. In MQTT 3.1.1 it has no codes.
func unsuback(p script.Packet, codes ...byte) script.Packet {
	return script.Packet{Type: v5.UNSUBACK, ID: p.ID, Codes: codes}
}

// set calls SetSubscriptions, which must send exactly these packets. The server agrees to each of
// them before it receives the next.
func (l *link) set(wanted []Subscription, packets ...string) {
	l.t.Helper()
	done := l.subscribing(wanted)
	for _, want := range packets {
		l.c.Send(agreed(l.next(want)))
	}
	if err := <-done; err != nil {
		l.t.Fatal(err)
	}
	l.sync()
}

// next reads a packet, which must be the given one.
func (l *link) next(want string) script.Packet {
	l.t.Helper()
	p := l.c.Next()
	if got := p.String(); got != want {
		l.t.Fatalf("got %s, want %s", got, want)
	}
	return p
}

// wantRecord compares the recorded subscriptions: filter, requested QoS, / and granted QoS if that
// is lower, and ? if it is uncertain.
func (l *link) wantRecord(want string) {
	l.t.Helper()
	state := l.s.State()
	state.mu.Lock()
	defer state.mu.Unlock()
	var all []string
	for _, filter := range slices.Sorted(maps.Keys(state.subscriptions)) {
		has := state.subscriptions[filter]
		one := fmt.Sprintf("%s:%d", filter, has.QoS)
		if has.granted < has.QoS {
			one += fmt.Sprintf("/%d", has.granted)
		}
		if has.uncertain {
			one += "?"
		}
		all = append(all, one)
	}
	if got := strings.Join(all, " "); got != want {
		l.t.Errorf("recorded: %s, want %s", got, want)
	}
}

// wantRefused waits for an error of this kind, which names this filter and code.
func (l *link) wantRefused(done <-chan error, kind Kind, filter string, code byte) {
	l.t.Helper()
	err := <-done
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != kind || len(failed.Refused) != 1 || failed.Refused[0].Filter != filter || failed.Refused[0].Code != code {
		l.t.Errorf("%v, want %s %q 0x%02x", err, kind, filter, code)
	}
}

func TestSetSubscriptions_Change_SubscribesBeforeItUnsubscribes(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.set(at1("a", "b"), "SUBSCRIBE 65280 a:1 b:1")
		l.set(at1("a", "b"))
		done := l.subscribing(at1("c", "a"))
		asked := l.next("SUBSCRIBE 65280 c:1") // nothing for a: the server would send its retained messages again
		l.sync()                               // nothing for b before the answer
		l.c.Send(granted(asked))
		l.c.Send(agreed(l.next("UNSUBSCRIBE 65280 b")))
		if err := <-done; err != nil {
			l.t.Fatal(err)
		}
		l.wantRecord("a:1 c:1")
		l.set(nil, "UNSUBSCRIBE 65280 a c")
		l.set(nil)
		l.wantRecord("")
	})
}

func TestSetSubscriptions_MessagesMeanwhile_FlowInBothDirections(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.set(at1("a"), "SUBSCRIBE 65280 a:1")
		done := l.subscribing(at1("b"))
		l.next("SUBSCRIBE 65280 b:1")
		exchange := func(payload string) {
			l.t.Helper()
			l.c.Send(script.Publish(7, 1, "a", "in "+payload))
			l.want("received in " + payload)
			l.ack("in " + payload)
			l.c.Want("PUBACK 7")
			l.publish(message(1, "out "+payload))
			sent := l.c.Next()
			l.c.Send(script.Ack(v5.PUBACK, sent.ID, 0))
			l.want("acknowledged out " + payload)
		}
		exchange("1")
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: 65280, Codes: []byte{1}})
		ended := l.next("UNSUBSCRIBE 65280 a")
		exchange("2") // the server may have queued it (section 3.10.4)
		l.c.Send(agreed(ended))
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
}

// MQTT 5 section 3.8.3.1: a server sends no retained messages for Retain Handling 1 if it has a
// subscription to the filter.
func TestSetSubscriptions_ChangedOptions_RequestsRetainedMessagesOnlyIfWanted(t *testing.T) {
	const send, ifNew, never = 0, 1, 2
	was := Subscription{Filter: "a", QoS: 1, RetainHandling: send, ID: 7}
	for _, c := range []struct {
		name string
		is   Subscription
		sent byte // Retain Handling
	}{
		{"QoS", Subscription{Filter: "a", QoS: 2, RetainHandling: send, ID: 7}, ifNew},
		{"identifier", Subscription{Filter: "a", QoS: 1, RetainHandling: send, ID: 8}, ifNew},
		{"Retain Handling", Subscription{Filter: "a", QoS: 1, RetainHandling: never, ID: 7}, never},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newPeer(t, packet.V5).new()
			l.set([]Subscription{was}, "SUBSCRIBE 65280 a:1")
			change := func(to Subscription, want byte) {
				t.Helper()
				done := l.subscribing([]Subscription{to})
				asked := l.c.Next()
				if o := asked.Subscriptions[0]; o.QoS != to.QoS || o.RetainHandling != want || *asked.Properties.SubscriptionIdentifier != int(to.ID) {
					t.Errorf("%+v, want Retain Handling %d", o, want)
				}
				l.c.Send(granted(asked))
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				l.set([]Subscription{to})
			}
			change(c.is, c.sent)
			back := byte(ifNew)
			if c.is.RetainHandling != was.RetainHandling {
				back = send // the user requests the retained messages
			}
			change(was, back)
		})
	}
}

func TestSetSubscriptions_NewFilterRefused_EndsNothingAndTriesAgain(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.set(at1("a/b"), "SUBSCRIBE 65280 a/b:1")
		done := l.subscribing(at1("a/#", "c"))
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.next("SUBSCRIBE 65280 a/#:1 c:1").ID, Codes: []byte{0x87, 1}})
		l.wantRefused(done, SubscriptionsRefused, "a/#", 0x87)
		l.sync() // the subscription to a/b goes on
		l.wantRecord("a/b:1 c:1")
		l.set(at1("a/#", "c"), "SUBSCRIBE 65280 a/#:1", "UNSUBSCRIBE 65280 a/b")
	})
}

func TestSetSubscriptions_ChangeRefused_OldSubscriptionIsUncertain(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.set(at1("a"), "SUBSCRIBE 65280 a:1")
		done := l.subscribing([]Subscription{{Filter: "a", QoS: 2}})
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.next("SUBSCRIBE 65280 a:2").ID, Codes: []byte{0x80}})
		l.wantRefused(done, SubscriptionsRefused, "a", 0x80)
		l.wantRecord("a:1?")
		l.set(at1("a"), "SUBSCRIBE 65280 a:1")
		l.wantRecord("a:1")
	})
}

func TestSetSubscriptions_EndRefused_TriesAgainOnNextConnection(t *testing.T) {
	p := newPeer(t, packet.V5)
	l := p.new()
	l.set(at1("a", "b"), "SUBSCRIBE 65280 a:1 b:1")
	done := l.subscribing(nil)
	l.c.Send(unsuback(l.next("UNSUBSCRIBE 65280 a b"), 0x87, 0x11)) // not authorized; no subscription existed
	l.wantRefused(done, UnsubscriptionsRefused, "a", 0x87)
	l.wantRecord("a:1?")
	if l.s.State().Subscribed() {
		t.Error("the refused end counts as a subscription")
	}
	l.set(nil)
	l.cut()
	l = p.resume()
	l.set(nil, "UNSUBSCRIBE 65280 a")
	l.wantRecord("")
}

// For EMQX, a filter with the prefix $exclusive/ and the filter without it are one subscription: an UNSUBSCRIBE
// after the SUBSCRIBE would end the new subscription, without an error.
func TestSetSubscriptions_OnlyExclusivePrefixChanges_EndsOldSubscriptionFirst(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.set(at1("a/#", "b"), "SUBSCRIBE 65280 a/#:1 b:1")
		l.set(at1("$exclusive/a/#", "c"), "UNSUBSCRIBE 65280 a/#", "SUBSCRIBE 65280 $exclusive/a/#:1 c:1", "UNSUBSCRIBE 65280 b")
		l.set(at1("a/#", "c"), "UNSUBSCRIBE 65280 $exclusive/a/#", "SUBSCRIBE 65280 a/#:1")
		l.wantRecord("a/#:1 c:1")
	})
}

func TestSetSubscriptions_OldSubscriptionOfTheSameTopicsInDoubt_NewSubscriptionIsMadeAgain(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.set(at1("$exclusive/a"), "SUBSCRIBE 65280 $exclusive/a:1")
		l.s.State().DoubtSubscriptions(at1("a"))
		l.set(at1("$exclusive/a"), "UNSUBSCRIBE 65280 a", "SUBSCRIBE 65280 $exclusive/a:1")
		l.wantRecord("$exclusive/a:1")
	})
}

func TestSetSubscriptions_EndOfOldSubscriptionOfTheSameTopicsRefused_MakesNewSubscriptions(t *testing.T) {
	p := newPeer(t, packet.V5)
	l := p.new()
	l.set(at1("a"), "SUBSCRIBE 65280 a:1")
	done := l.subscribing(at1("$exclusive/a"))
	l.c.Send(unsuback(l.next("UNSUBSCRIBE 65280 a"), 0x87))
	l.c.Send(agreed(l.next("SUBSCRIBE 65280 $exclusive/a:1")))
	l.wantRefused(done, UnsubscriptionsRefused, "a", 0x87)
}
