// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bufio"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// guard looks at the fixed header of each packet that a server sends (MQTT 3.1.1
// section 2.2) before the client does. The client trusts what servers send: it
// allocates what a length announces, takes an unknown CONNACK for success and
// panics at a SUBACK with too many codes. The guard ends the connection instead.
type guard struct {
	reader   *bufio.Reader
	left     int          // bytes of the packet at hand that are not handed on
	answered bool         // the CONNACK has come
	filters  atomic.Int32 // of the SUBSCRIBE that waits for its SUBACK
}

func newGuard(r io.Reader) *guard {
	return &guard{reader: bufio.NewReaderSize(r, readBuffer)}
}

// protocolError says what a server sent that MQTT 3.1.1 does not have.
type protocolError string

func (e protocolError) Error() string { return string(e) }

func protocolErrorf(format string, args ...any) error {
	return protocolError(fmt.Sprintf(format, args...))
}

func (g *guard) Read(p []byte) (int, error) {
	if g.left == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	n, err := g.reader.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

// next looks at the packet that begins here.
func (g *guard) next() error {
	if !g.answered {
		return g.connack()
	}
	length, size, err := g.remainingLength()
	if err != nil {
		return err
	}
	head, err := g.reader.Peek(1)
	if err != nil {
		return err
	}
	kind, flags := head[0]>>4, head[0]&0x0f
	want := length
	switch kind {
	case packets.Publish:
		if flags>>1&3 == 3 {
			return protocolErrorf("the server sent a PUBLISH with QoS 3")
		}
		flags = 0
	case packets.Suback:
		want = 2 + int(g.filters.Load())
	case packets.Puback, packets.Pubrec, packets.Pubcomp, packets.Unsuback:
		want = 2
	case packets.Pubrel:
		want = 2
		flags ^= 2
	case packets.Pingresp:
		want = 0
	default:
		return protocolErrorf("the server sent a packet of type %d, which servers do not send", kind)
	}
	if flags != 0 || length != want {
		return protocolErrorf("the server sent a malformed %s of %d bytes", packets.PacketNames[kind], length)
	}
	g.left = size + length
	return nil
}

// connack looks at the first packet (section 3.2).
func (g *guard) connack() error {
	b, err := g.reader.Peek(4)
	if len(b) > 0 && b[0] != packets.Connack<<4 {
		return protocolErrorf("the server's answer begins with %q and is not MQTT", b)
	}
	if err != nil {
		return err
	}
	const highestCode = packets.ErrRefusedNotAuthorised
	switch {
	case b[1] != 2:
		return protocolErrorf("the server sent a CONNACK of %d bytes; it may speak another version of MQTT only", b[1])
	case b[3] > highestCode:
		return protocolErrorf("the server sent a CONNACK with the code %d, which MQTT 3.1.1 does not have; it may speak another version only", b[3])
	}
	g.answered = true
	g.left = len(b)
	return nil
}

// remainingLength returns the remaining length of the packet that begins here, and
// the size of its fixed header (section 2.2.3).
func (g *guard) remainingLength() (length, size int, err error) {
	const most = 4 // bytes of the length
	for i := 1; i <= most; i++ {
		b, err := g.reader.Peek(1 + i)
		if err != nil {
			return 0, 0, err
		}
		length |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i]&0x80 == 0 {
			return length, 1 + i, nil
		}
	}
	return 0, 0, protocolErrorf("the server sent a malformed remaining length")
}
