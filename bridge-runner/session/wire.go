// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
	"unsafe"

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
	// limit is the largest packet that is kept, in bytes. 0: there is none.
	limit int
	// coming is how many bytes of the packet at from have to be in buf. It is 0 while that
	// is unknown.
	coming int
	// large is a packet over the limit of which rest bytes have not come. They are
	// discarded when they come. nil: there is none.
	large *packet.Frame
	rest  int
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

// notePublish notes if what has come begins with a message, or continues a large one.
func (w *wire) notePublish(now time.Time) {
	if w.from == w.to {
		return
	}
	t := packet.Type(w.buf[w.from] >> 4)
	if w.large != nil { // its beginning came before
		t = w.large.Type
	}
	if t == packet.PUBLISH {
		w.published.Store(int64(now.Sub(w.socket.start)))
	}
}

// next returns the next packet, which is valid until more is read. ok is false where
// it has not come whole.
func (w *wire) next(v packet.Version) (f packet.Frame, ok bool, err error) {
	if w.large != nil {
		return w.discardLarge()
	}
	f, n, err := packet.Next(w.buf[w.from:w.to], v, 0)
	switch {
	case err != nil:
		return f, false, err
	case n == 0 || w.limit > 0 && n > w.limit:
		return w.partial()
	}
	w.from += n
	return f, true, nil
}

// partial looks at a packet that has not come whole, or that is over the limit. Of the
// latter the beginning is kept.
func (w *wire) partial() (f packet.Frame, ok bool, err error) {
	came := w.buf[w.from:w.to]
	t, flags, header, remaining, err := packet.Header(came)
	if w.coming = 0; header == 0 || err != nil {
		return f, false, err
	}
	w.coming = header + remaining
	if w.limit == 0 || w.coming <= w.limit || t != packet.PUBLISH && w.coming <= keptAnyway {
		return f, false, nil
	}
	body := came[header:]
	size, ok := beginning(t, body)
	if !ok {
		return f, false, tooLarge(t, w.coming, w.limit)
	}
	size = min(size, remaining)
	if len(body) < size {
		w.coming = header + size
		return f, false, nil
	}
	w.large = &packet.Frame{Type: t, Flags: flags, Size: w.coming, Large: true, Body: bytes.Clone(body[:size])}
	w.rest, w.coming = w.coming, 0
	return w.discardLarge()
}

// keptAnyway is the size in bytes up to which packets other than PUBLISH are kept,
// whatever the limit is.
const keptAnyway = 64 << 10

// beginning returns how many bytes of the body of a large packet are kept. ok is false if
// that is of no use.
func beginning(t packet.Type, body []byte) (n int, ok bool) {
	const (
		ids      = 4       // length of the topic name, packet identifier
		identity = 1 << 10 // of the payload, by which a message is recognized
	)
	switch t {
	case packet.PUBLISH:
		if len(body) < 2 {
			return ids, true
		}
		return ids + int(body[0])<<8 + int(body[1]) + identity, true
	case packet.CONNACK, packet.SUBACK: // their fields may be at the end
		return 0, false
	default:
		return ids, true
	}
}

func tooLarge(t packet.Type, size, limit int) error {
	return protocolError(packet.CodePacketTooLarge, fmt.Sprintf("a %s of %d bytes, which is more than maximumPacketSize (%d)", t, size, limit))
}

// discardLarge discards what has come of a packet over the limit, and returns the
// packet when that is all of it: only then it may be acknowledged.
func (w *wire) discardLarge() (f packet.Frame, ok bool, err error) {
	n := min(w.rest, w.to-w.from)
	w.from += n
	if w.rest -= n; w.rest > 0 {
		return f, false, nil
	}
	f, w.large = *w.large, nil
	return f, true, nil
}

// text returns the body of a packet as a string. If the buffer is too large to be kept, the
// body is not copied: it keeps the buffer.
func (w *wire) text(f packet.Frame) string {
	if len(w.buf) <= keepReadBuffer || f.Large || w.from != w.to || len(f.Body) < len(w.buf)/4*3 {
		return string(f.Body)
	}
	w.buf, w.from, w.to = nil, 0, 0
	return unsafe.String(unsafe.SliceData(f.Body), len(f.Body)) //nolint:gosec // nothing writes to the buffer any more: w has let go of it
}

// fill reads more. The buffer grows as bytes come, not as lengths announce them, and to
// the size of the packet at most.
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
		grown := make([]byte, w.grown())
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

// grown returns the size of the next larger buffer. A packet whose buffer is not kept takes
// few steps, so that the smaller buffers, which are garbage then, are small compared to it.
// A buffer that is kept is used for the next packets, too, and has room for two.
func (w *wire) grown() int {
	const factor = 8
	if w.coming > keepReadBuffer {
		return min(w.coming, factor*len(w.buf))
	}
	return min(2*len(w.buf), keepReadBuffer)
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
