// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// large is the size of a message that takes about four seconds at slowRate. That is longer
// than the timeouts of these tests.
const (
	large    = 6 << 20
	slowRate = 3 << 19 // bytes per second
)

// readSlowly reads n bytes at slowRate.
func readSlowly(c *script.Conn, n int) error {
	buf := make([]byte, 16<<10)
	for due := time.Now(); n > 0; {
		read, err := c.Read(buf[:min(n, len(buf))])
		if err != nil {
			return err
		}
		n -= read
		due = due.Add(time.Duration(read) * time.Second / slowRate)
		time.Sleep(time.Until(due))
	}
	return nil
}

func TestWatch_ServerAcceptsLargeMessageSlowly_SessionContinues(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.AckTimeout, p.cfg.PingTimeout, p.cfg.KeepAlive = time.Second, time.Second, time.Second
		l := p.new()
		l.publish(message(1, strings.Repeat("x", large)))
		if err := readSlowly(l.c, large); err != nil {
			t.Fatalf("the session ends: %v, because of %v", err, l.s.Err())
		}
		go func() { _, _ = io.Copy(io.Discard, l.c.TCPConn) }() // pings, until the end
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged " + strings.Repeat("x", large))
	})
}

func TestWatch_ServerStopsAcceptingLargeMessage_SessionEndsWithinTimeout(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.AckTimeout, p.cfg.PingTimeout, p.cfg.KeepAlive = time.Second, time.Second, time.Minute
		l := p.new()
		l.publish(message(1, strings.Repeat("x", large)))
		if err := readSlowly(l.c, large/2); err != nil {
			t.Fatal(err)
		}
		l.wantReason("AckTimeout", time.Now(), time.Second/2) // the peer's buffer accepts more data, and some was accepted before
	})
}

// busy makes the server send messages, and pass received packets to answer, until stop.
func (l *link) busy(answer func(script.Packet)) (stop func()) {
	done, publish := make(chan struct{}), []byte(l.c.Encode(script.Publish(0, 0, "t", "from the server")))
	var working sync.WaitGroup
	working.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(brief / 20):
				_, _ = l.c.Write(publish) // fails after the session has ended
			}
		}
	})
	go func() {
		for {
			packet, err := l.c.TryNext()
			if err != nil {
				return
			}
			answer(packet)
		}
	}()
	return func() { close(done); working.Wait() }
}

func TestWatch_AcknowledgementBehindMessages_IsWaitedFor(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.AckTimeout = brief
		l := p.new()
		pinged := make(chan struct{}, 10)
		stop := l.busy(func(p script.Packet) {
			if p.Type == v5.PINGREQ {
				pinged <- struct{}{}
			}
		})
		l.publish(message(1, "x"))
		<-pinged
		select {
		case <-l.s.Done():
			t.Errorf("the session ends while messages come: %v", l.s.Err())
		case <-time.After(2 * brief): // the acknowledgement is behind the messages of this time
		}
		stop()
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		for {
			select {
			case got := <-l.events:
				if got == "acknowledged x" {
					return
				}
			case <-time.After(script.Timeout):
				t.Fatal("it is not acknowledged")
			}
		}
	})
}

func TestWatch_ServerSendsMessagesAndAcknowledgesNothing_SessionEnds(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.AckTimeout = brief
		l := p.new()
		stop := l.busy(func(p script.Packet) {
			if p.Type == v5.PINGREQ {
				_, _ = l.c.Write([]byte{v5.PINGRESP << 4, 0}) // fails after the session has ended
			}
		})
		defer stop()
		start := time.Now()
		l.publish(message(1, "x"))
		l.wantReason("AckTimeout", start, brief)
	})
}
