// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Control packet types (MQTT 3.1.1 section 2.2.1), with the flags that they must have.
const (
	connect   = 0x10
	connack   = 0x20
	publish   = 0x30
	puback    = 0x40
	pubrec    = 0x50
	pubrel    = 0x62
	pubcomp   = 0x70
	subscribe = 0x82
	suback    = 0x90
)

// Protocol levels (section 3.1.2.2).
const (
	level311 = 4
	level5   = 5
)

const (
	bufferSize     = 256 << 10
	answersWithin  = 5 * time.Second
	smallestReason = 0x80 // first reason code that means failure, in MQTT 5 and in a SUBACK of 3.1.1
)

// client is one connection of the load. It implements the minimum of MQTT at low cost: it prepares
// packets in advance and inspects received packets in the read buffer.
type client struct {
	conn  net.Conn
	level byte
	in    *bufio.Reader

	mu  sync.Mutex // guards out, which the stream and the acknowledgements share
	out *bufio.Writer
}

// dial connects to a broker with a clean session and no keep alive.
func dial(address, id string, level byte) (*client, error) {
	conn, err := net.DialTimeout("tcp", address, answersWithin)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, level: level, in: bufio.NewReaderSize(conn, bufferSize), out: bufio.NewWriterSize(conn, bufferSize)}
	body := append(text("MQTT"), level, 0x02, 0, 0)
	body = append(append(body, c.noProperties()...), text(id)...)
	answer, err := c.ask(connect, body, connack)
	if err == nil && answer[1] != 0 {
		err = fmt.Errorf("CONNECT was refused with code %d", answer[1])
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s at %s: %w", id, address, err)
	}
	return c, nil
}

// subscribe subscribes at QoS 0. This is the least work for the load, and the bridge has done its
// work when the remote broker has the message.
func (c *client) subscribe(filter string) error {
	body := append([]byte{0, 1}, c.noProperties()...)
	body = append(append(body, text(filter)...), 0)
	answer, err := c.ask(subscribe, body, suback)
	if err == nil && answer[len(answer)-1] >= smallestReason {
		err = fmt.Errorf("SUBSCRIBE was refused with code %d", answer[len(answer)-1])
	}
	return err
}

// ask sends a packet and reads the response.
func (c *client) ask(first byte, body []byte, want byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answersWithin)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(packet(first, body)); err != nil {
		return nil, err
	}
	got, length, err := c.header()
	if err != nil {
		return nil, err
	}
	if got != want {
		return nil, fmt.Errorf("received packet %#x in response to %#x", got, first)
	}
	answer := make([]byte, length)
	if _, err := io.ReadFull(c.in, answer); err != nil {
		return nil, err
	}
	return answer, c.conn.SetDeadline(time.Time{})
}

// header reads a fixed header.
func (c *client) header() (first byte, length int, err error) {
	if first, err = c.in.ReadByte(); err != nil {
		return 0, 0, err
	}
	n, err := binary.ReadUvarint(c.in) // the encoding of MQTT's variable byte integer
	return first, int(n), err
}

// noProperties returns an empty property list, which MQTT 5 requires and 3.1.1 does not have.
func (c *client) noProperties() []byte {
	if c.level == level5 {
		return []byte{0}
	}
	return nil
}

func packet(first byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

func text(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}
