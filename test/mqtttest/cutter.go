// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"golang.org/x/sys/unix"
)

// Cut defines the byte of the traffic at which a connection ends.
type Cut struct {
	// Type is the packet type, with the numbers of the packets package of paho.mqtt.golang.
	Type byte
	// FromServer is the packet's direction.
	FromServer bool
	// Nth is the number of the packet of that type in that direction. It starts at 1 when the cut
	// is armed.
	Nth int
	// Bytes is the number of the packet's bytes that are delivered, from 0 to all. If it exceeds
	// the packet's length, the whole packet is delivered.
	Bytes int
	// Reset ends the connection with RST. Otherwise it ends with FIN.
	Reset bool
}

// String returns a description of the cut for messages.
func (c Cut) String() string {
	sender, end := "the client", "FIN"
	if c.FromServer {
		sender = "the server"
	}
	if c.Reset {
		end = "RST"
	}
	return fmt.Sprintf("%s after %d bytes of %s %d from %s", end, c.Bytes, packets.PacketNames[c.Type], c.Nth, sender)
}

// Hit is a cut that has happened.
type Hit struct {
	Cut
	// Length is the length of the packet in bytes.
	Length int
	// At is the time after which the cutter delivers nothing.
	At time.Time
}

// Cutter forwards MQTT connections, 3.1.1 or 5, to a server, and ends one of them at the armed
// byte: it delivers everything before that byte, in both directions, and nothing after it.
type Cutter struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	cut   *Cut
	count int
	hit   chan Hit
	pairs map[*pair]bool

	released map[uint16]bool // QoS 2 identifiers for which the server has sent PUBREL
	restarts []string
}

// StartCutter starts a cutter in front of host:port.
func StartCutter(t testing.TB, target string) *Cutter {
	t.Helper()
	l, _ := listen(t)
	c := &Cutter{listener: l, target: target, pairs: map[*pair]bool{}, released: map[uint16]bool{}}
	c.wg.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.CutNow()
		c.wg.Wait()
	})
	return c
}

// URL returns the plain URL of the cutter.
func (c *Cutter) URL() string { return "mqtt://" + c.listener.Addr().String() }

// Arm sets the next cut, on any connection that the packet passes. It replaces a cut that has not
// happened. The channel receives the hit.
func (c *Cutter) Arm(cut Cut) <-chan Hit {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut, c.count, c.hit = &cut, 0, make(chan Hit, 1)
	return c.hit
}

// CutNow ends all connections with RST immediately.
func (c *Cutter) CutNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.pairs {
		p.reset()
	}
}

// due returns and removes the armed cut if it must happen at this packet.
func (c *Cutter) due(packet []byte, fromServer bool) (Cut, chan Hit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut == nil || c.cut.FromServer != fromServer || c.cut.Type != packet[0]>>4 {
		return Cut{}, nil, false
	}
	c.count++
	if c.count < c.cut.Nth {
		return Cut{}, nil, false
	}
	cut := *c.cut
	c.cut = nil
	return cut, c.hit, true
}

// Restarts returns the QoS 2 messages (topic, properties and payload) that the server published
// again after it had sent PUBREL for them. The client has forgotten their identifiers by then, and
// treats them as new messages. [MQTT-4.4.0-1] requires that the server sends PUBREL again.
// Mosquitto 2.0.11 violates this if a connection ends before it has sent PUBREL again.
func (c *Cutter) Restarts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.restarts)
}

// watch detects restarts in the packets from the server.
func (c *Cutter) watch(packet []byte) {
	const qos2, dup = 2 << 1, 1 << 3
	c.mu.Lock()
	defer c.mu.Unlock()
	_, n := binary.Uvarint(packet[1:]) // the remaining length has the encoding of Uvarint
	body := packet[1+n:]
	switch {
	case packet[0]>>4 == packets.Pubrel && len(body) >= 2:
		c.released[binary.BigEndian.Uint16(body)] = true
	case packet[0]>>4 == packets.Publish && packet[0]&qos2 != 0 && len(body) >= 2:
		topic := 2 + int(binary.BigEndian.Uint16(body))
		if len(body) < topic+2 {
			return
		}
		id := binary.BigEndian.Uint16(body[topic:])
		if packet[0]&dup == 0 {
			delete(c.released, id)
		} else if c.released[id] {
			c.restarts = append(c.restarts, string(body))
		}
	}
}

func (c *Cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.wg.Go(func() { c.serve(client.(*net.TCPConn)) })
	}
}

func (c *Cutter) serve(client *net.TCPConn) {
	server, err := net.DialTimeout("tcp", c.target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &pair{client: client, server: server.(*net.TCPConn)}
	c.mu.Lock()
	c.pairs[p] = true
	c.mu.Unlock()
	var directions sync.WaitGroup
	directions.Go(func() { c.relay(p, p.client, p.server, false) })
	directions.Go(func() { c.relay(p, p.server, p.client, true) })
	directions.Wait()
	c.mu.Lock()
	delete(c.pairs, p)
	c.mu.Unlock()
	_ = p.client.Close()
	_ = p.server.Close()
}

// relay forwards one direction, packet by packet.
func (c *Cutter) relay(p *pair, from, to *net.TCPConn, fromServer bool) {
	in := bufio.NewReader(from)
	var out []byte
	for {
		packet, err := readPacket(in)
		out = append(out, packet...)
		if err == nil {
			if fromServer {
				c.watch(packet)
			}
			if cut, hit, ok := c.due(packet, fromServer); ok {
				delivered := min(cut.Bytes, len(packet))
				_, _ = to.Write(out[:len(out)-len(packet)+delivered])
				if cut.Bytes = delivered; cut.Reset {
					p.deliver(to)
					p.reset()
				} else {
					p.finish()
				}
				hit <- Hit{cut, len(packet), time.Now()}
				_, _ = io.Copy(io.Discard, in)
				return
			}
			if in.Buffered() > 0 { // packets that arrive together are forwarded together
				continue
			}
		}
		if _, failed := to.Write(out); failed != nil {
			_, _ = io.Copy(io.Discard, in) // read to the end, because closing with unread data would send RST
			return
		}
		out = out[:0]
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			_ = to.CloseWrite()
			return
		default:
			p.reset()
			return
		}
	}
}

// readPacket returns the bytes of the next packet. After an error it returns the bytes read before
// it.
func readPacket(in *bufio.Reader) ([]byte, error) {
	var packet []byte
	length := 0
	for i := 0; ; i++ { // the fixed header: type, and length in 7 bits a byte
		b, err := in.ReadByte()
		if err != nil {
			return packet, err
		}
		packet = append(packet, b)
		if i == 0 {
			continue
		}
		if length |= int(b&0x7f) << (7 * (i - 1)); b < 0x80 {
			break
		}
	}
	body := make([]byte, length)
	n, err := io.ReadFull(in, body)
	return append(packet, body[:n]...), err
}

// pair holds the two connections between which a cutter forwards.
type pair struct {
	client, server *net.TCPConn
}

// closing is the longest wait for a peer to end its half of a connection.
const closing = 5 * time.Second

// finish ends both connections with FIN. It discards the data that the peers still send.
func (p *pair) finish() {
	for _, c := range []*net.TCPConn{p.client, p.server} {
		_ = c.CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(closing))
	}
}

// reset ends both connections with RST.
func (p *pair) reset() {
	for _, c := range []*net.TCPConn{p.client, p.server} {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// deliver waits until the peer's system has received all written data, because RST would drop it.
func (*pair) deliver(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	for deadline := time.Now().Add(closing); time.Now().Before(deadline); time.Sleep(pollInterval / 100) {
		left := 0
		if raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil || left == 0 {
			return
		}
	}
}
