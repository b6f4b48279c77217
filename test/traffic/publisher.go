// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Dialer opens a connection to an MQTT server.
type Dialer func(ctx context.Context) (net.Conn, error)

// TCP dials host:port.
func TCP(address string) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
}

// PublisherConfig configures the messages that a Publisher sends.
type PublisherConfig struct {
	Dial     Dialer
	ClientID string
	Topic    string
	// Stream marks the payloads. Default "s".
	Stream string
	QoS    byte
	Retain bool
	// Rate is the number of messages a second. 0 means as fast as the server acknowledges.
	Rate int
	// Size is the minimum size of a payload in bytes. Shorter payloads are padded.
	Size int
	// Window is the largest number of unacknowledged messages. Default 500.
	Window int
	// Count is the number of messages in the stream. 0 means that the stream continues until Stop.
	Count uint64
}

// Publisher sends a numbered stream and records the acknowledgements. When the connection is lost,
// it connects again, resends the unacknowledged messages in order, and continues.
type Publisher struct {
	cfg    PublisherConfig
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	stopped bool
	next    uint64
	pending []*outgoing // in order of Seq
	acked   map[uint64]time.Time
	resent  map[uint64]int
	failure error // of the latest connection
}

// outgoing is an unacknowledged message.
type outgoing struct {
	Message
	written  bool // at least once
	received bool // PUBREC has arrived, and the server still has the session
}

// StartPublisher starts a stream. It ends with Close or with the context.
func StartPublisher(ctx context.Context, cfg PublisherConfig) *Publisher {
	if cfg.Stream == "" {
		cfg.Stream = "s"
	}
	if cfg.Window == 0 {
		cfg.Window = 500
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &Publisher{
		cfg: cfg, cancel: cancel, done: make(chan struct{}),
		changed: make(chan struct{}), next: 1,
		acked: map[uint64]time.Time{}, resent: map[uint64]int{},
	}
	go p.run(ctx)
	return p
}

// Stop ends the stream. The publisher continues to deliver unacknowledged messages.
func (p *Publisher) Stop() {
	p.update(func() { p.stopped = true })
}

// Close ends the publisher immediately.
func (p *Publisher) Close() {
	p.cancel()
	<-p.done
}

// StopAndDrain ends the stream and waits until all its messages are acknowledged.
func (p *Publisher) StopAndDrain(timeout time.Duration) error {
	p.Stop()
	return p.wait(timeout, "all messages acknowledged", func() bool { return uint64(len(p.acked)) == p.next-1 })
}

// WaitAcknowledged waits until n messages of the stream are acknowledged.
func (p *Publisher) WaitAcknowledged(n int, timeout time.Duration) error {
	return p.wait(timeout, fmt.Sprintf("%d messages acknowledged", n), func() bool { return len(p.acked) >= n })
}

// WaitDone waits until all messages of a stream with a Count are acknowledged.
func (p *Publisher) WaitDone(timeout time.Duration) error {
	return p.wait(timeout, "the whole stream acknowledged", func() bool { return uint64(len(p.acked)) == p.cfg.Count })
}

// Ledger is a publisher's record of its messages.
type Ledger struct {
	// Sent is the number of messages that were written at least once. They have the numbers 1 to
	// Sent.
	Sent uint64
	// Acknowledged holds the time at which the server accepted each message: the time of PUBACK or
	// PUBCOMP, or at QoS 0 the time of the write.
	Acknowledged map[uint64]time.Time
	// Resent holds the number of times that the publisher itself sent each message again.
	Resent map[uint64]int
}

// Ledger returns a copy of the current record.
func (p *Publisher) Ledger() Ledger {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Ledger{Sent: p.next - 1, Acknowledged: make(map[uint64]time.Time, len(p.acked)), Resent: make(map[uint64]int, len(p.resent))}
	for k, v := range p.acked {
		l.Acknowledged[k] = v
	}
	for k, v := range p.resent {
		l.Resent[k] = v
	}
	return l
}

// Counts returns the number of messages that were written at least once, and the number of messages that
// the server has acknowledged.
func (p *Publisher) Counts() (sent, acknowledged int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.next - 1), len(p.acked)
}

// From returns the ledger without the acknowledgements of the messages before the given number.
func (l Ledger) From(seq uint64) Ledger {
	l.Acknowledged = maps.Clone(l.Acknowledged)
	maps.DeleteFunc(l.Acknowledged, func(s uint64, _ time.Time) bool { return s < seq })
	return l
}

func (p *Publisher) update(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Publisher) wait(timeout time.Duration, what string, ok func() bool) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		if ok() {
			p.mu.Unlock()
			return nil
		}
		changed := p.changed
		state := fmt.Sprintf("%d sent, %d acknowledged, %d pending, last connection: %v", p.next-1, len(p.acked), len(p.pending), p.failure)
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.done:
			return fmt.Errorf("publisher %s: not %s when it ended: %s", p.cfg.ClientID, what, state)
		case <-deadline.C:
			return fmt.Errorf("publisher %s: not %s after %s: %s", p.cfg.ClientID, what, timeout, state)
		}
	}
}

// finishedLocked reports whether the stream has no further messages.
func (p *Publisher) finishedLocked() bool {
	return p.stopped || p.cfg.Count > 0 && p.next > p.cfg.Count
}

// take creates the next message of the stream if the window has room.
func (p *Publisher) take() (*outgoing, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finishedLocked() || len(p.pending) >= p.cfg.Window {
		return nil, false
	}
	o := &outgoing{Message: Message{Stream: p.cfg.Stream, Seq: p.next, Sent: time.Now()}}
	p.next++
	if p.cfg.QoS > 0 {
		p.pending = append(p.pending, o)
	}
	return o, true
}

// onWritten records that a message was written. At QoS 0 this counts as the acknowledgement.
func (p *Publisher) onWritten(o *outgoing) {
	if p.cfg.QoS == 0 {
		p.update(func() { p.acked[o.Seq] = o.Sent })
	}
}

// settle removes a message from the pending messages and records its acknowledgement.
func (p *Publisher) settle(id uint16) {
	p.update(func() {
		i := p.findLocked(id)
		if i < 0 {
			return
		}
		p.acked[p.pending[i].Seq] = time.Now()
		p.pending = slices.Delete(p.pending, i, i+1)
	})
}

func (p *Publisher) markReceived(id uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.findLocked(id); i >= 0 {
		p.pending[i].received = true
	}
}

// findLocked returns the index of the pending message with the given packet identifier, or -1.
func (p *Publisher) findLocked(id uint16) int {
	return slices.IndexFunc(p.pending, func(o *outgoing) bool { return packetID(o.Seq) == id })
}

// packetID derives the packet identifier from the message number. It is unique among unacknowledged
// messages, because a window is much smaller than 65535.
func packetID(seq uint64) uint16 { return uint16(seq%65535) + 1 }
