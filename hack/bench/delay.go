// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync"
	"time"
)

// line is a TCP connection to somewhere far: bytes take their time in each
// direction, as many as there are.
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

// close ends when the connections have been ended by their clients.
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

// parcel is what was read at one instant, due on the other side later.
type parcel struct {
	data []byte
	due  time.Time
}

// underway is how many parcels there is room for on a line, far more than a round
// trip brings.
const underway = 1 << 14

func (l *line) carry(to, from net.Conn) {
	parcels := make(chan parcel, underway)
	go func() {
		defer close(parcels)
		buffer := make([]byte, bufferSize)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				parcels <- parcel{append([]byte(nil), buffer[:n]...), time.Now().Add(l.oneWay)}
			}
			if err != nil {
				return
			}
		}
	}()
	failed := false
	for p := range parcels { // to the end, or the reader would block for ever
		time.Sleep(time.Until(p.due))
		if failed {
			continue
		}
		if _, err := to.Write(p.data); err != nil {
			failed = true
			_ = from.Close()
		}
	}
	_ = to.Close()
}
