// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"net"
	"sync"
)

// eagerConn reads data from a server as soon as it arrives, and buffers it until the client reads
// it. Without it, a client that answers a killed server fails to write and closes its connection
// before it has read all data: on a busy machine the collector would lose messages that the server
// had sent, and the test would report them as lost by the bridge. With eagerConn, a write to a
// server that has ended succeeds, and the client reads all data before it reads the end of the
// connection.
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
	go c.readAll()
	return c
}

func (c *eagerConn) readAll() {
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
	_, _ = c.Conn.Write(p) // the client reads the error after all data
	return len(p), nil
}
