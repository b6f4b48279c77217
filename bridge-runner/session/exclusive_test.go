// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// subscriptionServer holds the subscriptions of a session as a server does.
type subscriptionServer struct {
	// sharesExclusive makes a filter with the prefix $exclusive/ and the filter without it one
	// subscription, as EMQX does.
	sharesExclusive bool
	has             map[string]string // by filter, or by filter without the prefix
}

func (s *subscriptionServer) key(filter string) string {
	if s.sharesExclusive {
		return strings.TrimPrefix(filter, "$exclusive/")
	}
	return filter
}

// apply changes the subscriptions as a packet requires.
func (s *subscriptionServer) apply(p script.Packet) {
	for _, o := range p.Subscriptions {
		s.has[s.key(o.Topic)] = fmt.Sprintf("%s:%d", o.Topic, o.QoS)
	}
	for _, f := range p.Filters {
		delete(s.has, s.key(f))
	}
}

// cut is the end of a connection at a packet.
type cut int

const (
	beforeReceipt cut = iota
	beforeAnswer
	afterAnswer
)

// serve answers the packets of a call of SetSubscriptions until it returns.
func (s *subscriptionServer) serve(l *link, done <-chan error) error {
	packets := make(chan script.Packet)
	go func() {
		defer close(packets)
		for {
			p, err := l.c.TryNext()
			if err != nil {
				return
			}
			packets <- p
		}
	}()
	defer func() {
		_ = l.c.Close()
		for range packets { // until the goroutine ends
		}
	}()
	for {
		select {
		case err := <-done:
			return err
		case p := <-packets:
			if p.Type == v5.SUBSCRIBE || p.Type == v5.UNSUBSCRIBE {
				s.apply(p)
				l.c.Send(agreed(p))
			}
		}
	}
}

// A filter that gets or loses the prefix $exclusive/ is a change of one subscription for some servers, and of
// two for others. Wherever the connection ends, the next one must leave the subscriptions of the manifest on
// the server, also if the manifest has changed back, and receive the messages that the server holds.
func TestSetSubscriptions_ConnectionEndsWhileExclusivePrefixChanges_NextConnectionHasTheWantedSubscriptions(t *testing.T) {
	const packetsOfChange = 3 // UNSUBSCRIBE of the earlier form, SUBSCRIBE, UNSUBSCRIBE of the removed filter
	plain, exclusive := at1("a/#", "b"), at1("$exclusive/a/#", "c")
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for _, change := range [][2][]Subscription{{plain, exclusive}, {exclusive, plain}} {
			for _, shares := range []bool{true, false} {
				for _, kept := range []bool{true, false} {
					for at := range packetsOfChange * 3 {
						for _, wanted := range [][]Subscription{change[1], change[0]} {
							name := fmt.Sprintf("version=%d,from=%s,shared=%t,kept=%t,packet=%d,cut=%d,then=%s", v, change[0][0].Filter, shares, kept, at/3, at%3, wanted[0].Filter)
							t.Run(name, func(t *testing.T) {
								cutExclusiveChange(t, v, shares, kept, change[0], change[1], wanted, at/3, cut(at%3))
							})
						}
					}
				}
			}
		}
	}
}

func cutExclusiveChange(t *testing.T, v packet.Version, shares, kept bool, from, to, wanted []Subscription, packets int, where cut) {
	t.Helper()
	p, server := newPeer(t, v), &subscriptionServer{sharesExclusive: shares, has: map[string]string{}}
	l := p.new()
	done := l.subscribing(from)
	first := l.c.Next()
	server.apply(first)
	l.c.Send(agreed(first))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	done = l.subscribing(to)
	for i := range packets + 1 {
		next := l.c.Next()
		if i < packets || where >= beforeAnswer {
			server.apply(next)
		}
		if i < packets || where == afterAnswer {
			l.c.Send(agreed(next))
		}
	}
	if where == afterAnswer {
		_ = l.c.CloseWrite() // behind the answer
		_ = l.wantOver()
	} else {
		l.cut()
	}
	t.Log("the call during the cut:", <-done)
	if kept {
		l = p.resume()
		l.c.Send(script.Publish(1, 1, "a/x", "held"))
		l.want("received held")
		l.ack("held")
	} else {
		server.has = map[string]string{}
		l = p.new()
	}
	if err := server.serve(l, l.subscribing(wanted)); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range wanted {
		want = append(want, fmt.Sprintf("%s:%d", s.Filter, s.QoS))
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Values(server.has)); !slices.Equal(got, want) {
		t.Errorf("the server has %v, want %v", got, want)
	}
	l.wantRecord(strings.Join(want, " "))
}

// The filter with the prefix is longer. The earlier subscription must not end for a packet that the server does not
// accept.
func TestSetSubscriptions_FilterWithExclusivePrefixTooLarge_EndsNothing(t *testing.T) {
	l := newPeer(t, packet.V5).connect(script.Connack(false, &v5.Properties{MaximumPacketSize: new(uint32(19))}))
	l.set(at1("a"), "SUBSCRIBE 65280 a:1")
	l.wantError(l.subscribing(at1("$exclusive/a")), "SubscriptionRefused", `the subscription to "$exclusive/a" is larger than the server's maximum packet size of 19 bytes`)
	l.sync() // it sends nothing
	l.wantRecord("a:1")
}
