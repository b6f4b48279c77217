// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

const (
	// firstReadBuffer is the size of the read buffer of a connection on which little arrives, in
	// bytes. A process with many bridges has thousands of them.
	firstReadBuffer = 1 << 10
	// readBuffer is the size to which the read buffer grows while it is full after a read, in
	// bytes. The buffer grows further for larger packets.
	readBuffer = 64 << 10
	// readBufferGrowth is the factor by which it grows.
	readBufferGrowth = 4
	// maxSpareReadBuffer is the size of the largest buffer that is kept after a large
	// packet, in bytes.
	maxSpareReadBuffer = 1 << 20
)

// wire is the connection to a server, and the received bytes that are not handled yet. Only
// one goroutine reads from it.
type wire struct {
	*transport.Conn
	// start is when the attempt to connect began.
	start time.Time
	// buf[from:to] are the received bytes that are not handled.
	buf      []byte
	from, to int
	// limit is the size of the largest packet that is kept, in bytes. 0 means no limit.
	limit int
	// needed is the number of bytes of the packet at from that buf must contain before the
	// packet can be handled. It is 0 while that is unknown.
	needed int
	// large is a packet over the limit that has not arrived completely, nil if there is none.
	// The remaining largeRest bytes of it are discarded when they arrive.
	large     *packet.Frame
	largeRest int
	// ownBodies permits that large packets are read into a [body]. Start sets it: a server
	// gets no such buffer before CONNACK, and a probe needs none.
	ownBodies bool
	// arriving is the PUBLISH whose body is read into a buffer of its own. Its Body is the part that
	// has arrived. arrivingIn is the buffer, nil if there is no such packet.
	arriving   packet.Frame
	arrivingIn *body
	// arrived is the buffer of the packet that next has returned, nil if it has none of its own.
	arrived *body
	// firstRead is the largest number of bytes to read into an empty buf. 0 means no limit. It is
	// small after a large message, so that little of the next one has to be copied.
	firstRead int
	// bytesSinceIdle is the number of bytes read since the session was idle.
	bytesSinceIdle int
	// awaited is the most urgent answer to the complete packets that have arrived since the
	// session was idle.
	awaited awaited
	// messages is the rate of messages of QoS 1 and 2.
	messages messageRate
	// publishedAt is when a message, or a part of one, last arrived, as a time since
	// start.
	publishedAt atomic.Int64
	// pongs is the number of received PINGRESPs for which Session.Ping does not wait.
	pongs atomic.Int64
}

// lastPublish returns when a message, or a part of one, last arrived.
func (w *wire) lastPublish() time.Time {
	return w.start.Add(time.Duration(w.publishedAt.Load()))
}

// notePublish records the time if the unhandled bytes begin with a message, or continue a
// large message.
func (w *wire) notePublish(now time.Time) {
	if w.arrivingIn != nil {
		w.publishedAt.Store(int64(now.Sub(w.start)))
		return
	}
	if w.from == w.to {
		return
	}
	t := packet.Type(w.buf[w.from] >> 4)
	if w.large != nil { // its beginning arrived before
		t = w.large.Type
	}
	if t == packet.PUBLISH {
		w.publishedAt.Store(int64(now.Sub(w.start)))
	}
}

// next returns the next packet, which is valid until more is read. ok is false if the
// packet is incomplete.
func (w *wire) next(v packet.Version) (f packet.Frame, ok bool, err error) {
	if w.large != nil {
		return w.discardLarge()
	}
	if w.arrived = nil; w.arrivingIn != nil {
		return w.assembled()
	}
	f, n, err := packet.Next(w.buf[w.from:w.to], v, 0)
	switch {
	case err != nil:
		return f, false, err
	case n == 0 || w.limit > 0 && n > w.limit:
		return w.partial()
	}
	w.from += n
	w.expectLike(f)
	return f, true, nil
}

// expectLike limits the next read to the beginning of a packet if f is a large message: the next
// packet is probably similar.
func (w *wire) expectLike(f packet.Frame) {
	if f.Type != packet.PUBLISH {
		return
	}
	w.firstRead = 0
	if n := len(f.Body); w.ownBodies && n >= minBody && n <= maxBody {
		w.firstRead = f.Size/bodyGrowth + 64
	}
}

// begin gives a buffer of its own to the body of a PUBLISH. received is the part of the body that has
// arrived.
func (w *wire) begin(flags byte, received []byte, remaining int) {
	w.arrivingIn = newBody(remaining)
	n := copy(w.arrivingIn.bytes, received)
	w.arriving = packet.Frame{Type: packet.PUBLISH, Flags: flags, Body: w.arrivingIn.bytes[:n], Size: w.needed}
	w.from, w.to, w.needed = 0, 0, 0
}

// assembled returns the packet whose body is read into a buffer of its own. ok is false if the
// packet is incomplete.
func (w *wire) assembled() (f packet.Frame, ok bool, err error) {
	if len(w.arriving.Body) < len(w.arrivingIn.bytes) {
		return f, false, nil
	}
	f, w.arriving = w.arriving, packet.Frame{}
	w.arrived, w.arrivingIn = w.arrivingIn, nil
	w.expectLike(f)
	return f, true, nil
}

// hasPart reports whether a part of a packet has arrived and is not handled.
func (w *wire) hasPart() bool { return w.from < w.to || w.arrivingIn != nil }

// discardUnhandled discards the received bytes that are not handled.
func (w *wire) discardUnhandled() {
	w.from, w.arriving, w.arrivingIn = w.to, packet.Frame{}, nil
}

// partial handles a packet that is incomplete or over the limit. It keeps the beginning of
// a packet over the limit.
func (w *wire) partial() (f packet.Frame, ok bool, err error) {
	received := w.buf[w.from:w.to]
	t, flags, header, remaining, err := packet.Header(received)
	if w.needed = 0; header == 0 || err != nil {
		return f, false, err
	}
	w.needed = header + remaining
	if w.limit == 0 || w.needed <= w.limit || t != packet.PUBLISH && w.needed <= maxControlPacket {
		if w.ownBodies && t == packet.PUBLISH && hasOwnBody(remaining) && len(received) >= w.needed/bodyGrowth {
			w.begin(flags, received[header:], remaining)
		}
		return f, false, nil
	}
	body := received[header:]
	size, ok := keptBeginning(t, body)
	if !ok {
		return f, false, tooLarge(t, w.needed, w.limit)
	}
	size = min(size, remaining)
	if len(body) < size {
		w.needed = header + size
		return f, false, nil
	}
	w.large = &packet.Frame{Type: t, Flags: flags, Size: w.needed, Large: true, Body: bytes.Clone(body[:size])}
	w.largeRest, w.needed = w.needed, 0
	return w.discardLarge()
}

// maxControlPacket is the size, in bytes, up to which packets other than PUBLISH are kept
// independent of the limit.
const maxControlPacket = 64 << 10

// keptBeginning returns how many bytes of the body of a large packet are kept. ok is false
// if no beginning is sufficient for that type of packet.
func keptBeginning(t packet.Type, body []byte) (n int, ok bool) {
	const (
		ids      = 4       // topic name length, packet identifier
		identity = 1 << 10 // of the payload, to recognize the message
	)
	switch t {
	case packet.PUBLISH:
		if len(body) < 2 {
			return ids, true
		}
		return ids + int(body[0])<<8 + int(body[1]) + identity, true
	case packet.CONNACK, packet.SUBACK: // their fields may be at their ends
		return 0, false
	default:
		return ids, true
	}
}

func tooLarge(t packet.Type, size, limit int) error {
	return protocolError(packet.CodePacketTooLarge, fmt.Sprintf("a %s of %d bytes, which is more than maximumPacketSize (%d)", t, size, limit))
}

// discardLarge discards the received bytes of a packet over the limit. When all of it has
// arrived, it returns the packet: the packet must not be acknowledged earlier.
func (w *wire) discardLarge() (f packet.Frame, ok bool, err error) {
	n := min(w.largeRest, w.to-w.from)
	w.from += n
	if w.largeRest -= n; w.largeRest > 0 {
		return f, false, nil
	}
	f, w.large = *w.large, nil
	return f, true, nil
}

// bodyString returns the body of the packet that next has returned, as a string. A large body has a
// buffer of its own, own, which the caller takes over: the string is valid until its release. If
// the read buffer is too large to be kept, the body is not copied: the string keeps the buffer.
func (w *wire) bodyString(f packet.Frame) (s string, own *body) {
	if own = w.arrived; own == nil && w.ownBodies && !f.Large && hasOwnBody(len(f.Body)) {
		own = newBody(len(f.Body))
		copy(own.bytes, f.Body)
	}
	if w.arrived = nil; own != nil {
		return unsafe.String(unsafe.SliceData(own.bytes), len(own.bytes)), own //nolint:gosec // it does not change before its release
	}
	if len(w.buf) <= maxSpareReadBuffer || f.Large || w.from != w.to || len(f.Body) < len(w.buf)/4*3 {
		return string(f.Body), nil
	}
	w.buf, w.from, w.to = nil, 0, 0
	return unsafe.String(unsafe.SliceData(f.Body), len(f.Body)), nil //nolint:gosec // w does not use the buffer any more, so it does not change
}

// fill reads more bytes. The buffer grows with the received bytes, not with an announced
// length, and at most to the size of the packet.
func (w *wire) fill() error {
	if w.arrivingIn != nil {
		have := len(w.arriving.Body)
		n, err := w.read(w.arrivingIn.bytes[have:])
		w.arriving.Body = w.arrivingIn.bytes[:have+n]
		return err
	}
	switch {
	case w.buf == nil:
		w.buf = make([]byte, firstReadBuffer)
	case w.to == len(w.buf) && len(w.buf) < readBuffer:
		grown := make([]byte, min(readBufferGrowth*len(w.buf), readBuffer))
		w.to = copy(grown, w.buf[w.from:w.to])
		w.from, w.buf = 0, grown
	case w.from == w.to:
		w.from, w.to = 0, 0
		if len(w.buf) > maxSpareReadBuffer {
			w.buf = make([]byte, readBuffer)
		}
	case w.from > 0 && w.to == len(w.buf):
		w.to = copy(w.buf, w.buf[w.from:w.to])
		w.from = 0
	case w.to == len(w.buf):
		grown := make([]byte, w.nextBufferSize())
		w.to = copy(grown, w.buf[w.from:w.to])
		w.from, w.buf = 0, grown
	}
	into := w.buf[w.to:]
	if w.firstRead > 0 && w.from == w.to {
		into = into[:min(len(into), w.firstRead)]
	}
	n, err := w.read(into)
	w.to += n
	return err
}

// read reads bytes. It returns either bytes or an error.
func (w *wire) read(into []byte) (n int, err error) {
	n, err = w.Read(into)
	w.bytesSinceIdle += n
	if n > 0 {
		return n, nil // the next read returns the error again
	}
	return 0, err
}

// nextBufferSize returns the size of the next larger buffer. A packet whose buffer is not kept
// takes few steps, so that the smaller buffers, which become garbage, are small compared to it.
// A buffer that is kept is used for the next packets, too, and has room for more than one.
func (w *wire) nextBufferSize() int {
	const factor = 8
	if w.needed > maxSpareReadBuffer {
		return min(w.needed, factor*len(w.buf))
	}
	return min(2*len(w.buf), maxSpareReadBuffer)
}

// discard reads until the server has closed the connection, or the connection is closed.
func (w *wire) discard() { _, _ = io.Copy(io.Discard, w.Conn) }
