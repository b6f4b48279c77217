// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Ending says how a connection has ended.
type Ending string

// Endings of connections.
const (
	// Left means that the process of the other member ends, and said goodbye.
	Left Ending = "left"
	// ClosedByPeer means that the other member has closed the connection, and continues.
	ClosedByPeer Ending = "closed by the other member"
	// Abrupt means that the system of the other member, or a device between the members, has ended
	// the connection. The process may have ended: a Dial shows it.
	Abrupt Ending = "ended abruptly"
	// Silent means that the other member has sent no message, or accepted no data, for
	// [Config.Silence]. It proves nothing.
	Silent Ending = "silent"
	// Faulty means that the other member does not follow the protocol.
	Faulty Ending = "protocol error"
	// TrustLost means that the key of the other member is not trusted any more.
	TrustLost Ending = "not trusted"
	// Replaced means that the same member has connected again.
	Replaced Ending = "replaced"
	// Local means that this process has closed the connection.
	Local Ending = "closed by this process"
)

// Conn is a connection to another member. Its methods may be called by several goroutines.
type Conn struct {
	endpoint *Endpoint
	conn     *tls.Conn
	in       *bufio.Reader // only the goroutine that reads uses it
	peer     Hello
	key      connKey
	queue    queue
	reported chan struct{} // closed after Handler.Connected
	done     chan struct{} // closed after Handler.Ended

	// mu guards the fields below. While it is held, queue.mu may be taken.
	mu sync.Mutex
	// how and err are the cause of the end. how is empty while the connection is open.
	how Ending
	err error
	// closeBy is the time at which a connection that this process closes ends at the latest. It is
	// zero while the process does not close it.
	closeBy time.Time
}

func (e *Endpoint) newConn(conn *tls.Conn, in *bufio.Reader, peer *Hello, dialled bool) *Conn {
	c := &Conn{
		endpoint: e, conn: conn, in: in, peer: *peer, reported: make(chan struct{}), done: make(chan struct{}),
		key: connKey{peerFingerprint(conn.ConnectionState()), dialled},
	}
	c.queue.changed.L = &c.queue.mu
	return c
}

// Peer returns the first message of the other member.
func (c *Conn) Peer() Hello { return c.peer }

// Fingerprint returns the fingerprint of the other member's key.
func (c *Conn) Fingerprint() Fingerprint { return c.key.fingerprint }

// Address returns the address of the other end. If this process has dialled, a further Dial to it
// reaches the same host.
func (c *Conn) Address() netip.AddrPort {
	tcp, ok := c.conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return tcp.AddrPort()
}

// Dialled reports whether this process has dialled.
func (c *Conn) Dialled() bool { return c.key.dialled }

// Done is closed after the Handler has received the end of the connection.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Send queues a message, and does not wait. Messages arrive in the order of the calls, without those
// that a later one replaces. Send reports false if the connection ends, or if the other member does
// not read and the queue is full.
func (c *Conn) Send(m Message) bool { return c.queue.push(m) }

// Close ends the connection after the queued messages are sent, and does not wait. The process
// continues: the other member receives [ClosedByPeer].
func (c *Conn) Close() { c.goodbye(false) }

// goodbye queues the last message. The connection ends when the other member has received it, at
// the latest after closeTimeout.
func (c *Conn) goodbye(leaves bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.how != "" || !c.closeBy.IsZero() {
		return
	}
	c.queue.last(&goodbye{Leaves: leaves})
	c.closeBy = time.Now().Add(closeTimeout)
	_ = c.conn.SetReadDeadline(c.closeBy) // it fails only if the connection has ended
}

// end records the cause of the end, unless there is one, and closes the connection. It does not wait.
func (c *Conn) end(how Ending, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.how != "" {
		return
	}
	if !c.closeBy.IsZero() && how != Left {
		how, err = Local, nil
	}
	c.how, c.err = how, err
	c.queue.close()
	_ = c.conn.NetConn().Close() // the TLS connection would first send an alert, which may wait
}

// write sends the queued messages until the queue is closed or the other end accepts no more.
func (c *Conn) write() {
	var buf []byte
	for {
		messages, ok := c.queue.take()
		if !ok {
			return
		}
		buf = buf[:0]
		for _, m := range messages {
			var err error
			if buf, err = appendMessage(buf, m); err != nil {
				c.endpoint.cfg.Log.Error("a message to another member of the group cannot be sent; the connection continues without it", "member", c.peer.Identity, "error", err)
			}
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(c.endpoint.cfg.Silence)) // it fails only if the connection has ended
		_, err := c.conn.Write(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.end(Silent, err)
			return
		case err != nil:
			// The reader receives the same error, after the messages that have arrived before, such as
			// a goodbye.
			return
		}
		if _, ok := messages[len(messages)-1].(*goodbye); ok {
			// With the socket half closed, the other member receives the goodbye, also if it sends
			// meanwhile: to close the socket would make the system send RST.
			c.closeWrite()
			return
		}
	}
}

// closeWrite ends the outgoing direction.
func (c *Conn) closeWrite() {
	_ = c.conn.CloseWrite() // an error ends the reader, too
	if half, ok := c.conn.NetConn().(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // as above
	}
}

// read calls the Handler for each message until the connection has ended.
func (c *Conn) read() {
	defer close(c.done)
	handler := c.endpoint.cfg.Handler
	handler.Connected(c)
	close(c.reported)
	for {
		m, err := c.next()
		if err != nil {
			c.end(endingBy(err), err)
			break
		}
		if bye, ok := m.(*goodbye); ok {
			c.end(map[bool]Ending{true: Left, false: ClosedByPeer}[bye.Leaves], nil)
			break
		}
		if m != nil && !c.closing() {
			handler.Received(c, m)
		}
	}
	c.endpoint.remove(c)
	c.mu.Lock()
	how, err := c.how, c.err
	c.mu.Unlock()
	handler.Ended(c, how, err)
}

// closing reports whether this process closes the connection.
func (c *Conn) closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.how != "" || !c.closeBy.IsZero()
}

// next returns the next message, or nil for a message of an unknown kind. It fails after the limit
// for silence.
func (c *Conn) next() (Message, error) {
	deadline := c.extendDeadline(c.endpoint.cfg.Silence)
	m, err := readMessage(c.in)
	if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(deadline) > c.endpoint.cfg.Interval {
		// This process did not run when the deadline passed, because it was frozen. The messages of
		// that time are still to be read, and their lack would prove nothing about the other member.
		c.extendDeadline(c.endpoint.cfg.Interval)
		m, err = readMessage(c.in)
	}
	if err != nil {
		return nil, err
	}
	if _, again := m.(*Hello); again {
		return nil, errProtocol
	}
	if !c.endpoint.cfg.Trusted(c.key.fingerprint) {
		return nil, &UntrustedError{c.key.fingerprint}
	}
	return m, nil
}

// extendDeadline sets the deadline of reads, and returns it.
func (c *Conn) extendDeadline(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(d)
	if !c.closeBy.IsZero() {
		deadline = c.closeBy
	}
	_ = c.conn.SetReadDeadline(deadline) // it fails only if the connection has ended
	return deadline
}

// endingBy returns the ending that the error of a read shows.
func endingBy(err error) Ending {
	var untrusted *UntrustedError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Silent
	case errors.As(err, &untrusted):
		return TrustLost
	case closedByNetwork(err):
		return Abrupt
	}
	return Faulty // also a TLS record that does not decrypt
}

// closedByNetwork reports whether a connection was ended, or became unusable, below TLS.
func closedByNetwork(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &errno)
}
