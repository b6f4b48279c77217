// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	publishers  = 4
	topicPrefix = "bench/"
	// stampSize is the size of the stamp at the start of a payload: the numbers of the stream, of
	// the publisher and of the message, and the time of sending.
	stampSize = 24
)

// began is the zero point of all times, in publishers and in the collector.
var began = time.Now()

func now() int64 { return int64(time.Since(began)) }

// load holds the clients at both ends of a bridge: four publishers at the local broker and one
// collector at the remote broker.
type load struct {
	publishers [publishers]*publisher
	collector  *client
	current    atomic.Pointer[stream]
	streams    uint32

	reading sync.WaitGroup
	failed  chan error // receives the first failure of a connection
	closing atomic.Bool
}

// startLoad connects the clients.
func startLoad(local, remote string, level, qos byte, payload int) (*load, error) {
	l := &load{failed: make(chan error, 1)}
	var err error
	if l.collector, err = dial(remote, "bench-collector", level); err != nil {
		return nil, err
	}
	if err := l.collector.subscribe(topicPrefix + "#"); err != nil {
		l.close()
		return nil, err
	}
	l.reading.Go(func() { l.fail("collector", l.collect()) })
	for i := range l.publishers {
		c, err := dial(local, "bench-publisher-"+strconv.Itoa(i), level)
		if err != nil {
			l.close()
			return nil, err
		}
		p := newPublisher(c, uint32(i), qos, payload)
		l.publishers[i] = p
		l.reading.Go(func() { l.fail("publisher", p.acknowledgements()) })
	}
	return l, nil
}

func (l *load) fail(who string, err error) {
	if l.closing.Load() {
		return
	}
	select {
	case l.failed <- fmt.Errorf("%s: %w", who, err):
	default:
	}
}

func (l *load) close() {
	l.closing.Store(true)
	_ = l.collector.conn.Close()
	for _, p := range l.publishers {
		if p != nil {
			_ = p.conn.Close()
		}
	}
	l.reading.Wait()
}

// collect reads the arriving messages and records them in the current stream.
func (l *load) collect() error {
	c := l.collector
	for {
		first, length, err := c.header()
		if err != nil {
			return err
		}
		if first&0xf0 != publish {
			return fmt.Errorf("received unexpected packet %#x", first)
		}
		start, err := c.in.Peek(min(length, longestStart))
		if err != nil {
			return err
		}
		stamp, err := c.stamp(start)
		if err != nil {
			return err
		}
		if s := l.current.Load(); s != nil {
			s.arrive(stamp)
		}
		if _, err := c.in.Discard(length); err != nil {
			return err
		}
		if s := l.current.Load(); s != nil && c.in.Buffered() == 0 {
			s.wakeAll()
		}
	}
}

// longestStart is larger than everything before a payload of the bench, including properties that a
// bridge adds.
const longestStart = 512

// stamp returns the stamp in the payload of a QoS 0 PUBLISH.
func (c *client) stamp(start []byte) ([]byte, error) {
	unknown := errors.New("received a message that the bench did not send")
	if len(start) < 2 {
		return nil, unknown
	}
	at := 2 + int(binary.BigEndian.Uint16(start))
	if c.level == level5 && at < len(start) {
		properties, n := binary.Uvarint(start[at:])
		at += n + int(properties)
	}
	if at+stampSize > len(start) {
		return nil, unknown
	}
	return start[at : at+stampSize], nil
}

// publisher is a client that sends messages to the local broker.
type publisher struct {
	*client
	number  uint32
	qos     byte
	message []byte // the whole packet; identifier and stamp change
	id      int    // offset of the packet identifier
	stamp   int    // offset of the payload
}

func newPublisher(c *client, number uint32, qos byte, payload int) *publisher {
	p := &publisher{client: c, number: number, qos: qos}
	body := text(topicPrefix + strconv.Itoa(int(number)))
	idAt := len(body)
	if qos > 0 {
		body = append(body, 0, 0)
	}
	body = append(body, c.noProperties()...)
	stampAt := len(body)
	body = append(body, make([]byte, payload)...)
	p.message = packet(publish|qos<<1, body)
	head := len(p.message) - len(body)
	p.id, p.stamp = head+idAt, head+stampAt
	return p
}

// send writes message number seq (from 0) of a stream to the output buffer.
func (p *publisher) send(stream uint32, seq int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.qos > 0 {
		binary.BigEndian.PutUint16(p.message[p.id:], uint16(seq%65535)+1)
	}
	stamp := p.message[p.stamp:]
	binary.BigEndian.PutUint32(stamp, stream)
	binary.BigEndian.PutUint32(stamp[4:], p.number)
	binary.BigEndian.PutUint64(stamp[8:], uint64(seq))
	binary.BigEndian.PutUint64(stamp[16:], uint64(now()))
	_, err := p.out.Write(p.message)
	return err
}

func (p *publisher) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Flush()
}

// acknowledgements reads the broker's acknowledgements and completes the QoS 2 handshakes.
func (p *publisher) acknowledgements() error {
	var body [64 << 10]byte
	for {
		first, length, err := p.header()
		if err != nil {
			return err
		}
		if length < 2 || length > len(body) {
			return fmt.Errorf("received unexpected packet %#x of %d bytes", first, length)
		}
		if _, err := io.ReadFull(p.in, body[:length]); err != nil {
			return err
		}
		switch {
		case first != puback && first != pubrec && first != pubcomp:
			return fmt.Errorf("received unexpected packet %#x", first)
		case length > 2 && body[2] >= smallestReason:
			return fmt.Errorf("received packet %#x with reason code %#x", first, body[2])
		}
		if p.qos == 2 {
			if err := p.release(first, body[:2]); err != nil {
				return err
			}
		}
	}
}

// release answers PUBREC with PUBREL. It flushes when no more input is buffered.
func (p *publisher) release(first byte, id []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first == pubrec {
		if _, err := p.out.Write([]byte{pubrel, 2, id[0], id[1]}); err != nil {
			return err
		}
	}
	if p.in.Buffered() > 0 {
		return nil
	}
	return p.out.Flush()
}
