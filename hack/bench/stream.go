// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stream is one run of messages through the bridge, numbered by each publisher
// from 0.
type stream struct {
	number  uint32
	window  int64 // how many messages of a publisher may be on their way
	arrived [publishers]atomic.Int64
	twice   atomic.Int64
	wake    [publishers]chan struct{}

	// The collector's own until it has ended or another stream is current.
	seen      [publishers][]uint64 // bits
	measuring atomic.Bool
	latencies []int64 // nanoseconds, of what arrives while measuring
}

// begin makes a new stream the one that the collector books.
func (l *load) begin(window int64) *stream {
	l.streams++
	s := &stream{number: l.streams, window: max(1, window/publishers), latencies: make([]int64, 0, 1<<16)}
	for i := range s.wake {
		s.wake[i] = make(chan struct{}, 1)
	}
	l.current.Store(s)
	return s
}

// arrive books a message by its stamp.
func (s *stream) arrive(stamp []byte) {
	if binary.BigEndian.Uint32(stamp) != s.number {
		return // of the stream before, which was given up
	}
	from, seq := binary.BigEndian.Uint32(stamp[4:]), binary.BigEndian.Uint64(stamp[8:])
	word, bit := int(seq/64), uint64(1)<<(seq%64)
	for len(s.seen[from]) <= word {
		s.seen[from] = append(s.seen[from], 0)
	}
	if s.seen[from][word]&bit != 0 {
		s.twice.Add(1)
		return
	}
	s.seen[from][word] |= bit
	if s.measuring.Load() {
		s.latencies = append(s.latencies, now()-int64(binary.BigEndian.Uint64(stamp[16:])))
	}
	s.arrived[from].Add(1)
}

// wakeAll lets publishers go on that wait for their window.
func (s *stream) wakeAll() {
	for _, w := range s.wake {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (s *stream) total() int64 {
	var n int64
	for i := range s.arrived {
		n += s.arrived[i].Load()
	}
	return n
}

// flood sends as fast as the window lets it, until stop, and returns how many
// messages it sent. The window reaches from publisher to collector, so that no
// queue in between grows to where QoS 0 is dropped.
func (l *load) flood(s *stream, stop <-chan struct{}) int64 {
	var sent atomic.Int64
	var running sync.WaitGroup
	for i, p := range l.publishers {
		running.Go(func() {
			seq := int64(0)
			defer func() { sent.Add(seq) }()
			for {
				for seq < s.arrived[i].Load()+s.window {
					if err := p.send(s.number, seq); err != nil {
						l.fail("publisher", err)
						return
					}
					seq++
				}
				if err := p.flush(); err != nil {
					l.fail("publisher", err)
					return
				}
				select {
				case <-s.wake[i]:
				case <-stop:
					return
				}
			}
		})
	}
	running.Wait()
	return sent.Load()
}

// pace sends at a rate a second, evenly, each message in a write of its own, until
// stop. It pauses where the window is full, which then shows in the rate.
func (l *load) pace(s *stream, rate int, stop <-chan struct{}) int64 {
	interval := int64(time.Second) / int64(rate)
	due, sent := now(), int64(0)
	for {
		select {
		case <-stop:
			return sent
		default:
		}
		if wait := due - now(); wait > 0 {
			// A timer of Go's is good to a millisecond, the system's to 50 us.
			pause := syscall.NsecToTimespec(wait)
			_ = syscall.Nanosleep(&pause, nil) // interrupted, it is asked again
			continue
		}
		i := sent % publishers
		seq := sent / publishers
		if seq >= s.arrived[i].Load()+s.window {
			due = now() + interval
			continue
		}
		p := l.publishers[i]
		err := p.send(s.number, seq)
		if err == nil {
			err = p.flush()
		}
		if err != nil {
			l.fail("publisher", err)
			return sent
		}
		sent++
		due += interval
	}
}

const (
	// drainWithin is how long nothing may arrive before the rest is given up.
	drainWithin  = 5 * time.Second
	pollInterval = 10 * time.Millisecond
)

// drain waits for what was sent and has not arrived, and returns how much is lost.
func (l *load) drain(s *stream, sent int64) (lost int64, err error) {
	last, since := s.total(), time.Now()
	for last < sent && time.Since(since) < drainWithin {
		select {
		case err := <-l.failed:
			return sent - last, err
		case <-time.After(pollInterval):
		}
		if n := s.total(); n > last {
			last, since = n, time.Now()
		}
	}
	select {
	case err := <-l.failed:
		return sent - last, err
	default:
		return sent - last, nil
	}
}

// ready waits until a bridge forwards: until one of the messages that are sent for
// it arrives.
func (l *load) ready(within time.Duration, alive func() error) error {
	s := l.begin(publishers)
	defer l.current.Store(nil)
	deadline := time.Now().Add(within)
	for seq := int64(0); s.total() == 0; seq++ {
		if err := alive(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing came over the bridge within %s", within)
		}
		err := l.publishers[0].send(s.number, seq)
		if err == nil {
			err = l.publishers[0].flush()
		}
		if err != nil {
			return err
		}
		select {
		case err := <-l.failed:
			return err
		case <-time.After(pollInterval):
		}
	}
	return nil
}
