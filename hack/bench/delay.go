// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// line simulates a long network path: it delays bytes in each direction and does not limit their
// rate.
type line struct {
	listener net.Listener
	target   string
	oneWay   time.Duration
	running  sync.WaitGroup
}

func startLine(target string, oneWay time.Duration) (*line, error) {
	listener, err := net.Listen("tcp", loopback(0))
	if err != nil {
		return nil, err
	}
	l := &line{listener: listener, target: target, oneWay: oneWay}
	l.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.serve(near) })
		}
	})
	return l, nil
}

func (l *line) address() string { return l.listener.Addr().String() }

// close stops accepting and returns when the clients have closed all connections.
func (l *line) close() {
	_ = l.listener.Close()
	l.running.Wait()
}

func (l *line) serve(near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	var there sync.WaitGroup
	there.Go(func() { l.carry(far, near) })
	l.carry(near, far)
	there.Wait()
}

// delayed holds the data of one direction that was read and is not yet due for writing.
type delayed struct {
	mu      sync.Mutex
	changed sync.Cond
	parcels []parcel
	ended   bool
}

// parcel is the data of one read.
type parcel struct {
	data []byte
	due  time.Time
}

// carry copies from one connection to the other. It reads without waiting and writes all due data
// in one call, so that the line delays and does not throttle.
func (l *line) carry(to, from net.Conn) {
	d := &delayed{}
	d.changed.L = &d.mu
	l.running.Go(func() { d.fill(from, l.oneWay) })
	for d.wait() {
		if _, err := to.Write(d.take()); err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close() // the end of one direction ends both
}

func (d *delayed) fill(from net.Conn, oneWay time.Duration) {
	buffer := make([]byte, bufferSize)
	for {
		n, err := from.Read(buffer)
		d.mu.Lock()
		if n > 0 {
			d.parcels = append(d.parcels, parcel{bytes.Clone(buffer[:n]), time.Now().Add(oneWay)})
		}
		d.ended = err != nil
		d.changed.Signal()
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait waits until the first parcel is due. It returns false after the last parcel.
func (d *delayed) wait() bool {
	d.mu.Lock()
	for len(d.parcels) == 0 && !d.ended {
		d.changed.Wait()
	}
	if len(d.parcels) == 0 {
		d.mu.Unlock()
		return false
	}
	due := d.parcels[0].due
	d.mu.Unlock()
	time.Sleep(time.Until(due))
	return true
}

// take removes and returns the data that is due.
func (d *delayed) take() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, n := time.Now(), 0
	var data []byte
	for n < len(d.parcels) && !d.parcels[n].due.After(now) {
		data = append(data, d.parcels[n].data...)
		n++
	}
	d.parcels = d.parcels[n:]
	return data
}
