// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// cursor reads fields. After the first error it returns zero values.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = wrong(format, args...)
	}
	c.b = nil
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.fail("a packet that is too short")
		return make([]byte, n)
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u8() byte    { return c.take(1)[0] }
func (c *cursor) u16() uint16 { return binary.BigEndian.Uint16(c.take(2)) }
func (c *cursor) u32() uint32 { return binary.BigEndian.Uint32(c.take(4)) }

func (c *cursor) binary() []byte { return c.take(int(c.u16())) }

func (c *cursor) text() string {
	s := string(c.binary())
	if c.err == nil && (!utf8.ValidString(s) || strings.Contains(s, "\x00")) {
		c.fail("a string that is not UTF-8 or contains U+0000: %q [MQTT-1.5.4-1]", s)
	}
	return s
}

func (c *cursor) topic() {
	if t := c.text(); c.err == nil && (t == "" || strings.ContainsAny(t, "+#")) {
		c.fail("a topic that is empty or has wildcards: %q", t)
	}
}

// filter reads a topic filter (section 4.7.1).
func (c *cursor) filter() string {
	f := c.text()
	if c.err == nil && f == "" {
		c.fail("an empty topic filter [MQTT-4.7.3-1]")
	}
	levels := strings.Split(f, "/")
	for i, level := range levels {
		if strings.Contains(level, "+") && level != "+" ||
			strings.Contains(level, "#") && (level != "#" || i < len(levels)-1) {
			c.fail("the invalid topic filter %q [MQTT-4.7.1-1]", f)
		}
	}
	return f
}

func (c *cursor) id() uint16 {
	id := c.u16()
	if c.err == nil && id == 0 {
		c.fail("the packet identifier 0 [MQTT-2.2.1-3]")
	}
	return id
}
