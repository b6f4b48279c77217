// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// readBuffer and writeBuffer are sizes in bytes. The client reads packet
	// headers byte by byte and writes packets one by one; the buffers make one
	// system call of many of those.
	readBuffer  = 64 << 10
	writeBuffer = 64 << 10
	// writeChunk is how many bytes are written under one deadline. A slow link has
	// time for that many, and a ping does not wait behind more than the buffer.
	writeChunk = 16 << 10
	// slowWrite is how long a write takes that had to wait for the other end.
	slowWrite = 50 * time.Millisecond
	// closeTimeout bounds each step of closing: the writing of what is buffered, and
	// the wait for the server to close, too.
	closeTimeout = 500 * time.Millisecond
)

// bufferedConn is a connection with buffered reads and writes. A write returns at
// once, when the data is buffered; what comes in while the one before is on its way
// is sent with the next system call. Who writes much asks for room before. It
// reports its first error once.
type bufferedConn struct {
	net.Conn
	guard   *guard
	timeout time.Duration // of writing a chunk
	onError func(error)

	start        time.Time    // what the two below are counted from
	lastRead     atomic.Int64 // when bytes came
	lastStrained atomic.Int64 // when a slow write ended

	mu      sync.Mutex
	changed sync.Cond
	pending []byte // to be written next
	err     error  // of the first failed read or write
	closed  bool
	flushed chan struct{} // closed when the flusher has ended

	unread atomic.Bool // what is read from now on is not handed on
	close  sync.Once
}

func newBufferedConn(conn net.Conn, writeTimeout time.Duration, onError func(error)) *bufferedConn {
	c := &bufferedConn{
		Conn:    conn,
		timeout: writeTimeout,
		onError: onError,
		start:   time.Now(),
		flushed: make(chan struct{}),
	}
	c.guard = newGuard(reader{c})
	c.changed.L = &c.mu
	go c.flush()
	return c
}

// reader reads from the connection and notes when something came.
type reader struct{ *bufferedConn }

func (r reader) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if n > 0 {
		r.lastRead.Store(int64(time.Since(r.start)))
	}
	return n, err
}

// heard is when bytes last came.
func (c *bufferedConn) heard() time.Time {
	return c.start.Add(time.Duration(c.lastRead.Load()))
}

// strained is when the other end last took data that had to wait for it: the link
// is slow then, and not dead.
func (c *bufferedConn) strained() time.Time {
	return c.start.Add(time.Duration(c.lastStrained.Load()))
}

func (c *bufferedConn) Read(p []byte) (int, error) {
	n, err := c.guard.Read(p)
	switch {
	case c.unread.Load():
		return 0, net.ErrClosed
	case errors.Is(err, net.ErrClosed):
		return n, errAborted
	case err != nil:
		c.fail(err)
	}
	return n, err
}

// errAborted is what a read of an aborted connection ends with. The client takes
// net.ErrClosed for its own doing, and would go on to wait for what never comes.
var errAborted = errors.New("the session has ended")

// Write buffers p whole and never blocks.
func (c *bufferedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	c.pending = append(c.pending, p...)
	c.changed.Broadcast()
	return len(p), nil
}

// waitForRoom blocks while the buffer is full and the connection stands.
func (c *bufferedConn) waitForRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) >= writeBuffer && c.err == nil && !c.closed {
		c.changed.Wait()
	}
}

// SetWriteDeadline does nothing: the deadlines of writes are flush's.
func (c *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the deadline of reads only.
func (c *bufferedConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// flush writes what is pending until the connection fails or is closed.
func (c *bufferedConn) flush() {
	defer close(c.flushed)
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.pending) == 0 && c.err == nil && !c.closed {
			c.changed.Wait()
		}
		if c.err != nil || len(c.pending) == 0 {
			c.mu.Unlock()
			return
		}
		data := c.pending
		c.pending = spare[:0]
		c.changed.Broadcast()
		c.mu.Unlock()
		if err := c.writeAll(data); err != nil {
			c.fail(err)
			return
		}
		if spare = data; cap(spare) > 2*writeBuffer {
			spare = nil // one large packet does not keep its memory for good
		}
	}
}

// writeAll writes in chunks, so that a slow link has time for each of them and one
// that takes nothing is found.
func (c *bufferedConn) writeAll(data []byte) error {
	for len(data) > 0 {
		timeout := c.timeout
		if c.unread.Load() { // closing
			timeout = closeTimeout
		}
		start := time.Now()
		if err := c.Conn.SetWriteDeadline(start.Add(timeout)); err != nil {
			return err
		}
		chunk := data[:min(len(data), writeChunk)]
		if _, err := c.Conn.Write(chunk); err != nil {
			return err
		}
		data = data[len(chunk):]
		if time.Since(start) >= slowWrite {
			c.lastStrained.Store(int64(time.Since(c.start)))
		}
	}
	return nil
}

func (c *bufferedConn) fail(err error) {
	c.mu.Lock()
	first := c.err == nil && !c.closed
	if c.err == nil {
		c.err = err
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	if first {
		c.onError(err)
	}
}

// Close writes what is buffered and closes the connection in a way that lets the
// server read all of it: were the socket closed with data from the server unread,
// the system would reset the connection, and the server could lose the
// acknowledgements that it has not read yet.
func (c *bufferedConn) Close() error {
	var err error
	c.close.Do(func() { err = c.closeOnce() })
	return err
}

func (c *bufferedConn) closeOnce() error {
	c.unread.Store(true)
	c.mu.Lock()
	c.closed = true
	failed := c.err != nil
	c.changed.Broadcast()
	c.mu.Unlock()
	_ = c.SetReadDeadline(time.Now().Add(2 * closeTimeout))   // an error means that it is closed
	_ = c.Conn.SetWriteDeadline(time.Now().Add(closeTimeout)) // likewise
	<-c.flushed
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && !failed && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, c.Conn) // until the server closes, or the deadline
	}
	return c.Conn.Close()
}

// abort closes the connection at once. Nothing is written after it has returned.
func (c *bufferedConn) abort() {
	c.mu.Lock()
	c.closed = true
	c.pending = nil
	c.changed.Broadcast()
	c.mu.Unlock()
	_ = c.Conn.Close() // nothing is to be saved
}
