// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"net"
	"sync"
)

// eagerConn takes in what a server sends as soon as it comes, and hands it on when
// it is asked for. A client that answers a killed server fails at writing and
// closes its connection, with what it has not read yet: on a busy machine a
// collector would lose what the server had sent, and the test would take it for
// lost by the bridge. Here writing to a server that is gone succeeds; the end is
// what is read last.
type eagerConn struct {
	net.Conn
	mu      sync.Mutex
	arrived sync.Cond
	data    []byte
	err     error
}

func eager(conn net.Conn) net.Conn {
	c := &eagerConn{Conn: conn}
	c.arrived.L = &c.mu
	go c.takeIn()
	return c
}

func (c *eagerConn) takeIn() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.Conn.Read(buffer)
		c.mu.Lock()
		c.data = append(c.data, buffer[:n]...)
		c.err = err
		c.arrived.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *eagerConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.data) == 0 && c.err == nil {
		c.arrived.Wait()
	}
	if len(c.data) == 0 {
		return 0, c.err
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

func (c *eagerConn) Write(p []byte) (int, error) {
	_, _ = c.Conn.Write(p) // a failure shows when all has been read
	return len(p), nil
}
