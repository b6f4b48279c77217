// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeChunk is how many bytes are written under one deadline.
	writeChunk = 16 << 10
	// writeSteps is how often within the timeout a write that waits looks whether the
	// other end takes anything.
	writeSteps = 8
	// keepBuffer is the most memory, in bytes, that an emptied buffer keeps.
	keepBuffer = 256 << 10
)

// socket is a TCP connection whose writes never block: what the system does not
// take at once is kept, and written by a goroutine of the socket's own. TLS and
// WebSocket are spoken over it, so that their writes never block either, and the
// goroutine that reads one server may write to the other.
//
// The goroutine has work only while the other end is slower than the writers. It
// finds an end that takes nothing, too.
type socket struct {
	net.Conn
	raw     *raw          // nil where the goroutine has to write
	timeout time.Duration // for the other end to take some of what is written
	drained func()        // called when what was kept is written

	start    time.Time
	received atomic.Int64 // when bytes last came, since start
	given    atomic.Int64 // bytes given to Write
	accepted atomic.Int64 // of them, accepted by the system

	// mu is held for moments: no call that blocks, and no foreign one, is made with it.
	// Closing the connection is such a call: it waits for the reader, which may be about
	// to write.
	mu      sync.Mutex
	changed sync.Cond
	kept    []byte // not taken by the system, in order
	busy    bool   // the goroutine is writing
	err     error  // of the first failed write
	closed  bool
}

func newSocket(conn net.Conn, timeout time.Duration) *socket {
	s := &socket{Conn: conn, raw: newRaw(conn), timeout: timeout, start: time.Now(), drained: func() {}}
	s.changed.L = &s.mu
	go s.writeKept()
	return s
}

// Read notes when something came.
func (s *socket) Read(p []byte) (int, error) {
	var (
		n   int
		err error
	)
	if s.raw != nil {
		n, err = s.raw.read(p)
	} else {
		n, err = s.Conn.Read(p)
	}
	if n > 0 {
		s.received.Store(int64(time.Since(s.start)))
	}
	return n, err
}

// SetWriteDeadline does nothing: a write does not wait. What TLS and WebSocket set to
// bound writes of theirs would end those of what is kept.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline, likewise.
func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// onDrained has fn called when what was kept is written.
func (s *socket) onDrained(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = fn
}

// onIdle has fn called when nothing more can be read now. It reports whether it will
// be; elsewhere than on Linux it is not. It is to be called by who reads. fn says
// whether what comes next may wait a little for more; it must not close the connection.
func (s *socket) onIdle(fn func() (patient bool)) bool {
	if s.raw == nil {
		return false
	}
	s.raw.idle = fn
	return true
}

// heard is when bytes last came.
func (s *socket) heard() time.Time { return s.start.Add(time.Duration(s.received.Load())) }

// underWay is how far the data has come that was written.
type underWay struct {
	given  int64 // bytes that were written
	taken  int64 // of them, acknowledged by the other end's TCP
	unsent int64 // of them, not sent: the other end, or the link, is slower than the writers
}

// underWay asks the system how far the data has come. Elsewhere than on Linux the other
// end is taken to have what the system has accepted.
func (s *socket) underWay() underWay {
	u := underWay{given: s.given.Load()}
	accepted := s.accepted.Load() // before the system is asked, so that nothing counts that was not taken
	queued, unsent := s.raw.queued()
	u.taken = accepted - queued
	u.unsent = max(u.given-accepted, 0) + unsent
	return u
}

// buffered is how many bytes the system has not taken.
func (s *socket) buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept)
}

// Write takes p whole, and does not block.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.closed {
		s.err = net.ErrClosed
	}
	if s.err != nil {
		return 0, s.err
	}
	s.given.Add(int64(len(p)))
	taken := 0
	if s.raw != nil && len(s.kept) == 0 && !s.busy {
		var err error // the descriptor does not block
		if taken, err = s.raw.write(p); err != nil {
			s.err = err
			s.changed.Broadcast()
			return taken, err
		}
		s.accepted.Add(int64(taken))
	}
	if taken < len(p) {
		s.kept = append(s.kept, p[taken:]...)
		s.changed.Broadcast()
	}
	return len(p), nil
}

// writeKept writes what is kept until the connection fails or is closed.
func (s *socket) writeKept() {
	var spare []byte
	for {
		data, ok := s.takeKept(spare)
		if !ok {
			return
		}
		if err := s.writeAll(data); err != nil {
			s.fail(err)
			_ = s.Conn.Close() // the reader ends, and tells
			return
		}
		if spare = data; cap(spare) > keepBuffer {
			spare = nil
		}
		if drained := s.written(); drained != nil {
			drained()
		}
	}
}

// takeKept waits for data to write, and returns it. What comes from then on is kept in
// spare. ok is false if the connection has failed or is closed.
func (s *socket) takeKept(spare []byte) (data []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.kept) == 0 && s.err == nil && !s.closed {
		s.changed.Wait()
	}
	if s.err != nil || s.closed {
		return nil, false
	}
	data = s.kept
	s.kept, s.busy = spare[:0], true
	return data, true
}

// written notes that a write has ended. It returns the function to call if no more is
// kept.
func (s *socket) written() (drained func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if len(s.kept) > 0 {
		return nil
	}
	s.changed.Broadcast()
	return s.drained
}

func (s *socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if s.err == nil {
		s.err = err
	}
	s.changed.Broadcast()
}

// writeAll writes in chunks. It fails if the other end takes nothing for the timeout:
// neither a part of the chunk, nor of the data that the system has accepted before.
func (s *socket) writeAll(data []byte) error {
	defer func() { _ = s.Conn.SetWriteDeadline(time.Time{}) }() // fails where the connection is closed
	since, taken := time.Now(), int64(-1)
	for len(data) > 0 {
		if err := s.Conn.SetWriteDeadline(time.Now().Add(s.timeout / writeSteps)); err != nil {
			return err
		}
		n, err := s.Conn.Write(data[:min(len(data), writeChunk)])
		s.accepted.Add(int64(n))
		data = data[n:]
		now := time.Now()
		if n > 0 {
			since = now
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		u := s.underWay()
		if taken >= 0 && u.taken > taken {
			since = now
		}
		taken = u.taken
		if now.Sub(since) >= s.timeout {
			return err
		}
	}
	return nil
}

// failure is why writing failed, if it did.
func (s *socket) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// CloseWrite sends what is kept, and FIN. It blocks until then, or until the
// connection is closed.
func (s *socket) CloseWrite() error {
	s.mu.Lock()
	for (len(s.kept) > 0 || s.busy) && s.err == nil && !s.closed {
		s.changed.Wait()
	}
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection at once. Nothing is written after it has returned.
func (s *socket) Close() error {
	s.mu.Lock()
	s.closed = true
	s.kept = nil
	s.changed.Broadcast()
	s.mu.Unlock()
	return s.Conn.Close()
}
