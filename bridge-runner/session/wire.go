// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

const (
	// readBuffer is how many bytes are read at once.
	readBuffer = 64 << 10
	// keepReadBuffer is the largest buffer that is kept after a large packet.
	keepReadBuffer = 1 << 20
)

// wire is the connection to a server: what is spoken over the socket, and the bytes
// that came and are not handled.
type wire struct {
	net.Conn         // TCP, or TLS or WebSocket over it
	socket   *socket // below all of it
	buf      []byte
	from, to int // of buf: not handled
	// sinceIdle is how many bytes were read since the session was idle.
	sinceIdle int
	// awaited says that other packets than QoS 0 messages have come, whole, since then.
	awaited bool
	// published is when a message, or a part of one, last came, since the socket's start.
	published atomic.Int64
	pongs     atomic.Int64 // how many PINGRESPs have come
}

// lastPublish is when a message, or a part of one, last came.
func (w *wire) lastPublish() time.Time {
	return w.socket.start.Add(time.Duration(w.published.Load()))
}

// notePublish notes that what has come begins with a message.
func (w *wire) notePublish(now time.Time) {
	if w.from < w.to && packet.Type(w.buf[w.from]>>4) == packet.PUBLISH {
		w.published.Store(int64(now.Sub(w.socket.start)))
	}
}

// next returns the next packet, which is valid until more is read. ok is false where
// it has not come whole.
func (w *wire) next(v packet.Version) (f packet.Frame, ok bool, err error) {
	f, n, err := packet.Next(w.buf[w.from:w.to], v, 0)
	if err != nil || n == 0 {
		return f, false, err
	}
	w.from += n
	return f, true, nil
}

// fill reads more. The buffer grows as bytes come, not as lengths announce them.
func (w *wire) fill() error {
	switch {
	case w.buf == nil:
		w.buf = make([]byte, readBuffer)
	case w.from == w.to:
		w.from, w.to = 0, 0
		if len(w.buf) > keepReadBuffer {
			w.buf = make([]byte, readBuffer)
		}
	case w.from > 0 && w.to == len(w.buf):
		w.to = copy(w.buf, w.buf[w.from:w.to])
		w.from = 0
	case w.to == len(w.buf):
		grown := make([]byte, 2*len(w.buf))
		w.to = copy(grown, w.buf[w.from:w.to])
		w.from, w.buf = 0, grown
	}
	n, err := w.Read(w.buf[w.to:])
	w.to += n
	w.sinceIdle += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// CloseWrite sends what is left to write, and tells the server that this was all. It
// blocks until then, or until the connection is closed.
func (w *wire) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok && w.Conn != net.Conn(w.socket) {
		if err := half.CloseWrite(); err != nil {
			return err
		}
	}
	return w.socket.CloseWrite()
}

// discard reads until the server has closed, or the connection is closed.
func (w *wire) discard() { _, _ = io.Copy(io.Discard, w.Conn) }
