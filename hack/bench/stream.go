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

// stream is one run of messages through the bridge. Each publisher numbers its messages from 0.
type stream struct {
	number     uint32
	window     int64 // largest number of a publisher's messages in transit
	arrived    [publishers]atomic.Int64
	duplicates atomic.Int64
	wake       [publishers]chan struct{}

	// Only the collector accesses the following fields, until it has ended or another stream is
	// current.

	seen      [publishers][]uint64 // one bit per message number
	measuring atomic.Bool
	latencies []int64 // nanoseconds, of messages that arrive during the measurement
}

// begin creates a stream and makes it the current one, in which the collector records messages.
func (l *load) begin(window int64) *stream {
	l.streams++
	s := &stream{number: l.streams, window: max(1, window/publishers), latencies: make([]int64, 0, 1<<16)}
	for i := range s.wake {
		s.wake[i] = make(chan struct{}, 1)
	}
	l.current.Store(s)
	return s
}

// arrive records a message by its stamp.
func (s *stream) arrive(stamp []byte) {
	if binary.BigEndian.Uint32(stamp) != s.number {
		return // from a previous stream that was abandoned
	}
	from, seq := binary.BigEndian.Uint32(stamp[4:]), binary.BigEndian.Uint64(stamp[8:])
	word, bit := int(seq/64), uint64(1)<<(seq%64)
	for len(s.seen[from]) <= word {
		s.seen[from] = append(s.seen[from], 0)
	}
	if s.seen[from][word]&bit != 0 {
		s.duplicates.Add(1)
		return
	}
	s.seen[from][word] |= bit
	if s.measuring.Load() {
		s.latencies = append(s.latencies, now()-int64(binary.BigEndian.Uint64(stamp[16:])))
	}
	s.arrived[from].Add(1)
}

// wakeAll wakes the publishers that wait because their window is full.
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

// flood sends as fast as the window allows until stop is closed, and returns the number of messages
// sent. The window covers the whole path from publisher to collector, so that no queue becomes long
// enough to drop QoS 0.
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

// pace sends rate messages a second until stop is closed, evenly spaced and each in its own write.
// It pauses when the window is full; the pause reduces the measured rate.
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
			// Go's timers are accurate to 1 ms, those that the system provides to 50 us.
			pause := syscall.NsecToTimespec(wait)
			_ = syscall.Nanosleep(&pause, nil) // after an interruption, the loop sleeps again
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
	// drainWithin is the time without an arrival after which drain counts the missing messages as
	// lost.
	drainWithin  = 5 * time.Second
	pollInterval = 10 * time.Millisecond
)

// drain waits for the messages that have not arrived, and returns how many are lost.
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

// ready sends messages until one arrives through the bridge.
func (l *load) ready(within time.Duration, alive func() error) error {
	s := l.begin(publishers)
	defer l.current.Store(nil)
	deadline := time.Now().Add(within)
	for seq := int64(0); s.total() == 0; seq++ {
		if err := alive(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no message arrived through the bridge within %s", within)
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
