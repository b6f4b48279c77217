// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	// readBuffer and writeBuffer are sizes in bytes. The client reads packet
	// headers byte by byte and writes packets one by one; the buffers make one
	// system call of many of those.
	readBuffer  = 64 << 10
	writeBuffer = 256 << 10
	// writeChunk is how many bytes are written under one deadline.
	writeChunk = 64 << 10
	// closeTimeout bounds each step of closing: the writing of what is buffered, and
	// the wait for the server to close, too.
	closeTimeout = 500 * time.Millisecond
)

// bufferedConn is a connection with buffered reads and writes. A write returns
// when the data is buffered; what comes in while the one before is on its way is
// sent with the next system call. It reports its first error once.
type bufferedConn struct {
	net.Conn
	reader   *bufio.Reader
	answered bool          // the first byte was that of a CONNACK
	timeout  time.Duration // of writing a chunk
	onError  func(error)

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
		reader:  bufio.NewReaderSize(conn, readBuffer),
		timeout: writeTimeout,
		onError: onError,
		flushed: make(chan struct{}),
	}
	c.changed.L = &c.mu
	go c.flush()
	return c
}

func (c *bufferedConn) Read(p []byte) (int, error) {
	err := c.checkFirst()
	var n int
	if err == nil {
		n, err = c.reader.Read(p)
	}
	switch {
	case c.unread.Load():
		return 0, net.ErrClosed
	case err != nil:
		c.fail(err)
	}
	return n, err
}

// notMQTT is the beginning of what a server sent in place of a CONNACK.
type notMQTT []byte

func (b notMQTT) Error() string {
	return fmt.Sprintf("the server's answer begins with %q and is not MQTT", []byte(b))
}

// connack is the first byte of a CONNACK (MQTT 3.1.1 section 3.2.1).
const connack = packets.Connack << 4

// checkFirst refuses a server whose first byte is not that of a CONNACK: its
// second byte would be taken for a length, and waited for.
func (c *bufferedConn) checkFirst() error {
	if c.answered {
		return nil
	}
	first, err := c.reader.Peek(1)
	if err != nil {
		return err
	}
	if first[0] != connack {
		begin, _ := c.reader.Peek(min(c.reader.Buffered(), 16)) // what is there
		return notMQTT(slices.Clone(begin))
	}
	c.answered = true
	return nil
}

// Write buffers p whole. It blocks while the buffer is full.
func (c *bufferedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) >= writeBuffer && c.err == nil && !c.closed {
		c.changed.Wait()
	}
	return c.append(p)
}

// writeNow buffers p whole and never blocks. It is for acknowledgements, which
// are few bytes and bounded by the number of packet identifiers.
func (c *bufferedConn) writeNow(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.append(p)
	return err
}

func (c *bufferedConn) append(p []byte) (int, error) {
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
		chunk := data[:min(len(data), writeChunk)]
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return err
		}
		if _, err := c.Conn.Write(chunk); err != nil {
			return err
		}
		data = data[len(chunk):]
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
