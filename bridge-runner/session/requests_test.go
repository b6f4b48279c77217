// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestSetSubscriptions_ManyFiltersToEnd_PacketsWithinTheLimits(t *testing.T) {
	wanted := make([]Subscription, 0, 20)
	for i := range 20 {
		wanted = append(wanted, Subscription{Filter: fmt.Sprintf("f%02d", i), ID: uint32(i + 1)})
	}
	for _, c := range []struct {
		maximum uint32
		sizes   []int
	}{
		{1 << 20, []int{8, 8, 4}},
		{20, []int{3, 3, 3, 3, 3, 3, 2}}, // [MQTT-3.2.2-15]: 5 bytes, and 5 for each filter
	} {
		p := newPeer(t, packet.V5)
		l := p.connect(script.Connack(false, &v5.Properties{MaximumPacketSize: new(c.maximum)}))
		done := l.subscribing(wanted)
		for range wanted {
			l.c.Send(granted(l.c.Next()))
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		done = l.subscribing(nil)
		var sizes []int
		var answers []script.Packet
		for range c.sizes { // all before the first answer
			asked := l.c.Next()
			sizes = append(sizes, len(asked.Filters))
			answers = append(answers, agreed(asked))
		}
		slices.Reverse(answers) // in any order
		l.c.Send(answers...)
		if err := <-done; err != nil || !slices.Equal(sizes, c.sizes) {
			t.Errorf("%v; %v filters, want %v", err, sizes, c.sizes)
		}
		l.wantRecord("")
	}
}

func TestSetSubscriptions_FilterToEndBeyondMaximumPacketSize_IsReported(t *testing.T) {
	p := newPeer(t, packet.V5)
	long := strings.Repeat("x", 30)
	l := p.new()
	l.set(at1(long, "a"), "SUBSCRIBE 65280 "+long+":1 a:1")
	l.cut()
	l = p.connect(script.Connack(true, &v5.Properties{MaximumPacketSize: new(uint32(30))}))
	done := l.subscribing(nil)
	l.c.Send(agreed(l.next("UNSUBSCRIBE 65280 a")))
	l.wantRefused(done, UnsubscriptionsRefused, long, 0x95)
	l.set(nil)
}

// An identifier is in use until the answer arrives ([MQTT-2.3.1-2]; of 5 [MQTT-2.2.1-3]), and a late
// answer does not count for a later request.
func TestSetSubscriptions_AfterCanceledCall_UsesOtherIdentifiers(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		ctx, cancel := context.WithCancel(l.t.Context())
		canceled := make(chan error, 1)
		go func() { canceled <- l.s.SetSubscriptions(ctx, at1("a")) }()
		late := l.next("SUBSCRIBE 65280 a:1")
		cancel()
		l.wantError(canceled, "ConnectTimeout", `while subscribing to "a": the attempt was ended`)
		done := l.subscribing(at1("b"))
		asked := l.next("SUBSCRIBE 65281 b:1")
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: late.ID, Codes: []byte{0x80}}, granted(asked))
		ended := l.next("UNSUBSCRIBE 65280 a")
		l.c.Send(agreed(ended), agreed(ended), granted(asked)) // the others answer nothing
		if err := <-done; err != nil {
			l.t.Error(err)
		}
		l.sync()
		l.wantRecord("b:1")
	})
}

func TestSetSubscriptions_UnsubackMissing_FailsWithinTheConnectTimeout(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.ConnectTimeout = shortConnect
		l := p.new()
		l.set(at1("a"), "SUBSCRIBE 65280 a:1")
		done := l.subscribing(nil)
		l.next("UNSUBSCRIBE 65280 a")
		l.wantError(done, "ConnectTimeout", "did not answer UNSUBSCRIBE")
		l.wantRecord("a:1?")
	})
}

func TestSetSubscriptions_CloseMeanwhile_Ends(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.set(at1("a"), "SUBSCRIBE 65280 a:1")
		done := l.subscribing(at1("b"))
		l.next("SUBSCRIBE 65280 b:1")
		go l.s.Close()
		l.c.WantEnd("DISCONNECT")
		_ = l.c.Close()
		l.wantError(done, "ConnectionClosed", `while subscribing to "b"`)
		l.wantRecord("a:1 b:1?")
		l.wantError(l.subscribing(at1("c")), "ConnectionClosed", "the session was closed")
		l.wantRecord("a:1 b:1?") // nothing was sent
	})
}

// A server that sends messages without end must not delay the failure without end.
func TestSetSubscriptions_MessagesWithoutEndAndNoSuback_FailsAfterPingIsAnswered(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.ConnectTimeout = shortConnect
		l := p.new()
		done := l.subscribing(many(1))
		l.c.Next()
		messages := []byte(l.c.Encode(script.Publish(0, 0, "t", "y")))
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			tick := time.NewTicker(shortConnect / 8)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					_, _ = l.c.Write(messages) // the connection may be closed
				}
			}
		}()
		defer func() {
			close(stop)
			<-stopped
		}()
		l.c.Want("PINGREQ")
		start := time.Now()
		l.c.Send(script.Packet{Type: v5.PINGRESP})
		l.wantError(done, "ConnectTimeout", `while subscribing to "f0": the server did not answer SUBSCRIBE within failover.connectTimeoutSeconds`)
		if took := time.Since(start); took < shortConnect/2 || took > shortConnect+slack {
			t.Errorf("after %v", took)
		}
	})
}
