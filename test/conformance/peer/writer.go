// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"net"
	"sync"
	"time"
)

// operation is a step of a writer: a wait, a write, or the end of the connection.
type operation struct {
	data   []byte
	delay  time.Duration
	before func() // called immediately before the write
	// closeWrite ends the outgoing direction after the write.
	closeWrite bool
	close      bool
	reset      bool
}

// writer writes to a connection in its own goroutine, so that a client that does not read does not
// block the server.
type writer struct {
	tcp  *net.TCPConn
	done chan struct{} // closed when the connection is closed

	mu      sync.Mutex
	changed sync.Cond
	queue   []operation
	silent  time.Time // no write before this time
	ending  bool      // no further waits, and a short deadline for the remaining writes
}

func newWriter(tcp *net.TCPConn) *writer {
	w := &writer{tcp: tcp, done: make(chan struct{})}
	w.changed.L = &w.mu
	go w.run()
	return w
}

func (w *writer) push(op operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, op)
	w.changed.Signal()
}

// lastWrites is the time limit for the remaining writes before the end of a connection.
const lastWrites = time.Second

// end closes the connection after the queued writes, within lastWrites.
func (w *writer) end(reset bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = true
	_ = w.tcp.SetWriteDeadline(time.Now().Add(lastWrites))
	w.queue = append(w.queue, operation{close: true, reset: reset})
	w.changed.Signal()
}

// silence delays all writes by d.
func (w *writer) silence(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = time.Now().Add(d)
}

// next returns the next step and the wait before it. It sets the deadline of the step's write.
func (w *writer) next() (op operation, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 {
		w.changed.Wait()
	}
	op = w.queue[0]
	w.queue = w.queue[1:]
	if w.ending {
		return op, 0
	}
	wait = max(op.delay, time.Until(w.silent), 0)
	_ = w.tcp.SetWriteDeadline(time.Now().Add(wait + writeTimeout))
	return op, wait
}

// writeTimeout bounds a write to a client that does not read.
const writeTimeout = 30 * time.Second

func (w *writer) run() {
	defer close(w.done)
	failed := false
	for {
		op, wait := w.next()
		if op.close {
			if op.reset {
				_ = w.tcp.SetLinger(0)
			}
			_ = w.tcp.Close()
			return
		}
		if wait > 0 && !failed {
			time.Sleep(wait)
		}
		if op.before != nil {
			op.before()
		}
		if op.closeWrite {
			_ = w.tcp.CloseWrite() // an error ends the reader, too
		}
		if failed || len(op.data) == 0 {
			continue
		}
		if _, err := w.tcp.Write(op.data); err != nil {
			failed = true // the reader also returns an error
		}
	}
}
