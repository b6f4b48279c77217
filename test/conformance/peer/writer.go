// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"net"
	"sync"
	"time"
)

// operation is a step of a writer: a wait, bytes, or the end of the connection.
type operation struct {
	data   []byte
	delay  time.Duration
	before func() // called right before data is written
	close  bool
	reset  bool
}

// writer writes to a connection in a goroutine of its own, so that a client that does
// not read delays nobody.
type writer struct {
	tcp  *net.TCPConn
	done chan struct{} // closed when the connection is closed

	mu      sync.Mutex
	changed sync.Cond
	queue   []operation
	silent  time.Time // nothing is written until then
	ending  bool      // waits and deadlines are over
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

// lastWrites is how long what was sent before the end of a connection may take.
const lastWrites = time.Second

// end closes the connection behind what was sent, soon.
func (w *writer) end(reset bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = true
	_ = w.tcp.SetWriteDeadline(time.Now().Add(lastWrites))
	w.queue = append(w.queue, operation{close: true, reset: reset})
	w.changed.Signal()
}

// silence writes nothing for that long.
func (w *writer) silence(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = time.Now().Add(d)
}

// next returns the next step and how long to wait before it. It bounds the step's write.
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
		if failed || len(op.data) == 0 {
			continue
		}
		if _, err := w.tcp.Write(op.data); err != nil {
			failed = true // the reader notices, too
		}
	}
}
