// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeChunk is how many bytes are written under one deadline. A slow link has
	// time for that many, and a ping does not wait behind more than the buffer.
	writeChunk = 16 << 10
	// slowWrite is how long a write takes that had to wait for the other end.
	slowWrite = 50 * time.Millisecond
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
	timeout time.Duration // of writing a chunk
	drained func()        // called when what was kept is written

	start    time.Time
	received atomic.Int64 // when bytes last came, since start
	strained atomic.Int64 // when a slow write last ended, since start

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

// lastStrained is when the other end last took data that had to wait for it: the
// link is slow then, and not dead.
func (s *socket) lastStrained() time.Time { return s.start.Add(time.Duration(s.strained.Load())) }

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
	taken := 0
	if s.raw != nil && len(s.kept) == 0 && !s.busy {
		var err error
		if taken, err = s.raw.write(p); err != nil {
			s.err = err
			s.changed.Broadcast()
			return taken, err
		}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.kept) == 0 && s.err == nil && !s.closed {
			s.changed.Wait()
		}
		if s.err != nil || s.closed {
			return
		}
		data := s.kept
		s.kept, s.busy = spare[:0], true
		s.mu.Unlock()
		err := s.writeAll(data)
		s.mu.Lock()
		s.busy = false
		if spare = data; cap(spare) > keepBuffer {
			spare = nil
		}
		if err != nil {
			if s.err == nil {
				s.err = err
			}
			s.changed.Broadcast()
			_ = s.Conn.Close() // the reader ends, and tells
			return
		}
		if len(s.kept) == 0 {
			s.changed.Broadcast()
			drained := s.drained
			s.mu.Unlock()
			drained()
			s.mu.Lock()
		}
	}
}

// writeAll writes in chunks, so that a slow link has time for each of them and one
// that takes nothing is found.
func (s *socket) writeAll(data []byte) error {
	defer func() { _ = s.Conn.SetWriteDeadline(time.Time{}) }() // fails where the connection is closed
	for len(data) > 0 {
		start := time.Now()
		if err := s.Conn.SetWriteDeadline(start.Add(s.timeout)); err != nil {
			return err
		}
		chunk := data[:min(len(data), writeChunk)]
		if _, err := s.Conn.Write(chunk); err != nil {
			return err
		}
		data = data[len(chunk):]
		if time.Since(start) >= slowWrite {
			s.strained.Store(int64(time.Since(s.start)))
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
