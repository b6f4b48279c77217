// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeChunk is the largest number of bytes that are written with one deadline.
	writeChunk = 16 << 10
	// writeChecks is the number of times within the timeout that a blocked write checks
	// whether the peer accepts data.
	writeChecks = 8
	// maxSpareBuffer is the size of the largest empty buffer that is kept for reuse, in
	// bytes.
	maxSpareBuffer = 256 << 10
	// maxWithoutIdle is the number of bytes after which idle is called although more data can be
	// read.
	maxWithoutIdle = 256 << 10
)

// socket is a TCP connection whose writes never block: it buffers the data that the system
// does not accept at once, and a goroutine writes the buffer. TLS and WebSocket run
// over it, so that their writes never block either, and the goroutine that reads from one
// server may write to the other.
//
// The goroutine exists only while the peer is slower than the writers. It also detects a
// peer that accepts no data.
type socket struct {
	net.Conn
	// fd reads and writes without blocking. It is nil if the system does not support that: then
	// the goroutine does all writes.
	fd *nonblockingFD
	// timeout is how long the peer may accept none of the written data. 0 means no limit.
	timeout time.Duration
	// notifyWritable is called when writeBuffer has become empty.
	notifyWritable func()
	// idle is called before Read waits, and after maxWithoutIdle bytes. Only the goroutine that reads
	// uses it.
	idle func() (mayDelay bool)
	// sinceIdle is the number of bytes that were read since idle was called. Only the goroutine that
	// reads uses it.
	sinceIdle int
	// delay is nil if no read is delayed. Only the goroutine that reads uses it.
	delay *readDelay

	start      time.Time
	receivedAt atomic.Int64 // when bytes last arrived, as a time since start
	written    atomic.Int64 // bytes passed to Write
	accepted   atomic.Int64 // bytes accepted by the system

	// mu guards the fields below, and notifyWritable. It is held only briefly: no blocking call
	// and no callback is made with it held. Closing the connection is a blocking call: it waits
	// for the system calls that use the descriptor.
	mu sync.Mutex
	// changed signals that the goroutine has written its data, that a write has failed, or that
	// the connection is closed.
	changed sync.Cond
	// writeBuffer is the data that the system has not accepted, in order.
	writeBuffer []byte
	spareBuffer []byte // becomes writeBuffer when the goroutine writes writeBuffer
	running     bool   // the goroutine exists
	writing     bool   // the goroutine is writing
	err         error  // of the first failed write
	closed      bool
}

func newSocket(conn net.Conn, timeout time.Duration) *socket {
	s := &socket{
		Conn: conn, fd: newNonblockingFD(conn), timeout: timeout, start: time.Now(),
		notifyWritable: func() {}, idle: func() bool { return false },
	}
	s.changed.L = &s.mu
	return s
}

// Read reads, and records when bytes arrived. It calls idle before it waits, without a lock
// and outside of any call that uses the descriptor: idle may write, and may close the
// connection. It also calls idle now and then while data arrives without a pause: the layers above may read
// on and on before they return data, if the peer sends only control frames.
func (s *socket) Read(p []byte) (int, error) {
	n, err := s.read(p)
	if n > 0 {
		s.receivedAt.Store(int64(time.Since(s.start)))
	}
	return n, err
}

func (s *socket) read(p []byte) (int, error) {
	if s.fd == nil {
		s.idle() // the read may wait
		return s.Conn.Read(p)
	}
	for {
		n, blocks, err := s.fd.read(p)
		if !blocks {
			if s.sinceIdle += n; s.sinceIdle >= maxWithoutIdle {
				s.sinceIdle = 0
				_ = s.idle() // this read is not delayed
			}
			return n, err
		}
		s.sinceIdle = 0
		mayDelay := s.idle()
		if err := s.fd.awaitData(); err != nil {
			return 0, err
		}
		if mayDelay {
			s.delay.beforeRead()
		}
	}
}

// SetWriteDeadline does nothing, because writes do not block. TLS and WebSocket set
// deadlines to bound their own writes; these must not end the writes of the buffered data.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the deadline of reads only, for the same reason.
func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// onWritable registers fn to run when the buffered data is written.
func (s *socket) onWritable(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notifyWritable = fn
}

// onIdle registers fn to run before Read waits. The goroutine that reads must call onIdle.
func (s *socket) onIdle(fn func() (mayDelay bool)) { s.idle = fn }

// lastReceived returns when bytes last arrived.
func (s *socket) lastReceived() time.Time { return s.start.Add(time.Duration(s.receivedAt.Load())) }

// transit queries the system how far the data has come. It does so between the calls of
// Write: data that is passed to the system meanwhile is not unsent because of a slow peer.
func (s *socket) transit() Transit {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := Transit{Written: s.written.Load()}
	accepted := s.accepted.Load() // read before the system is queried, so that TCPAcked is not too high
	queued, unsent := s.fd.queued()
	u.TCPAcked = accepted - queued
	u.Unsent = max(u.Written-accepted, 0) + unsent
	return u
}

// buffered returns the number of bytes that wait for writeLoop.
func (s *socket) buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writeBuffer)
}

// Write accepts all of p and does not block.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.closed {
		s.err = net.ErrClosed
	}
	if s.err != nil {
		return 0, s.err
	}
	s.written.Add(int64(len(p)))
	n := 0
	if s.fd != nil && len(s.writeBuffer) == 0 && !s.writing {
		var err error // does not block
		if n, err = s.fd.write(p); err != nil {
			s.err = err
			s.changed.Broadcast()
			return n, err
		}
		s.accepted.Add(int64(n))
	}
	if n < len(p) {
		s.writeBuffer = append(s.writeBuffer, p[n:]...)
		if !s.running {
			s.running = true
			go s.writeLoop()
		}
	}
	return len(p), nil
}

// writeLoop writes the buffered data until there is none, the connection fails or is closed.
func (s *socket) writeLoop() {
	for {
		data, ok := s.nextWrite()
		if !ok {
			return
		}
		if err := s.writeAll(data); err != nil {
			s.fail(err)
			_ = s.Conn.Close() // ends the reader, which reports the error
			return
		}
		if notifyWritable := s.finishWrite(data); notifyWritable != nil {
			notifyWritable()
		}
	}
}

// nextWrite returns the buffered data. ok is false if there is none, or if the connection has
// failed or is closed: then the goroutine ends.
func (s *socket) nextWrite() (data []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.writeBuffer) == 0 || s.err != nil || s.closed {
		s.running = false
		return nil, false
	}
	data = s.writeBuffer
	s.writeBuffer, s.spareBuffer, s.writing = s.spareBuffer[:0], nil, true
	return data, true
}

// finishWrite records that data is written. It returns the function to call if no more data is
// buffered.
func (s *socket) finishWrite(data []byte) (notifyWritable func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if cap(data) <= maxSpareBuffer {
		s.spareBuffer = data
	}
	s.changed.Broadcast()
	if len(s.writeBuffer) > 0 {
		return nil
	}
	return s.notifyWritable
}

// fail records the first error of a write.
func (s *socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if s.err == nil {
		s.err = err
	}
	s.changed.Broadcast()
}

// writeAll writes in chunks. It fails if for the timeout the peer accepts none of the data:
// neither a part of the chunk, nor data that the system has accepted before.
func (s *socket) writeAll(data []byte) error {
	defer func() { _ = s.Conn.SetWriteDeadline(time.Time{}) }() // fails if the connection is closed
	since, tcpAcked := time.Now(), int64(-1)
	for len(data) > 0 {
		if s.timeout > 0 {
			if err := s.Conn.SetWriteDeadline(time.Now().Add(s.timeout / writeChecks)); err != nil {
				return err
			}
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
		u := s.transit()
		if tcpAcked >= 0 && u.TCPAcked > tcpAcked {
			since = now
		}
		tcpAcked = u.TCPAcked
		if now.Sub(since) >= s.timeout {
			return err
		}
	}
	return nil
}

// awaitAccepted blocks until the system has accepted the bytes that are written so far, or the
// connection has failed or is closed.
func (s *socket) awaitAccepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := s.written.Load()
	for s.accepted.Load() < written && s.err == nil && !s.closed {
		s.changed.Wait()
	}
}

// failure returns the error of the first failed write, or nil.
func (s *socket) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// CloseWrite sends the buffered data, and FIN. It blocks until then, or until the
// connection is closed.
func (s *socket) CloseWrite() error {
	s.mu.Lock()
	for (len(s.writeBuffer) > 0 || s.writing) && s.err == nil && !s.closed {
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
	s.writeBuffer = nil
	s.changed.Broadcast()
	s.mu.Unlock()
	return s.Conn.Close()
}
