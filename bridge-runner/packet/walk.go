// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"strings"
	"unicode/utf8"
)

// walk calls use for each valid property in s that a packet of the type in may have. The
// property is s[from:to]. If a property may occur only once, the first valid one counts.
// walk returns the faults of all other properties.
func walk(in Type, s string, use func(id byte, v value, from, to int)) (faults Faults) {
	var seen Faults
	for from := 0; from < len(s); {
		id := s[from]
		if int(id) >= len(properties) || properties[id].kind == 0 {
			return faults | FaultProperties // the start of the next property is unknown
		}
		p := &properties[id]
		v, size := p.take(s[from+1:])
		if size < 0 {
			return faults | FaultProperties
		}
		to := from + 1 + size
		bit := Faults(1) << id
		if p.in>>in&1 == 0 || seen&bit != 0 && !p.repeats || !p.valid(&v) {
			faults |= bit
		} else {
			seen |= bit
			use(id, v, from, to)
		}
		from = to
	}
	return faults
}

// take reads a value from the front of s and returns its size in bytes, or -1 if s ends
// before the value does.
func (p *property) take(s string) (v value, size int) {
	switch p.kind {
	case oneBit:
		size = 1
	case twoBytes:
		size = 2
	case fourBytes:
		size = 4
	case variable:
		return takeVarint(s)
	case pair:
		name, n := takeBinary(s)
		if n < 0 {
			return value{}, -1
		}
		text, m := takeBinary(s[n:])
		if m < 0 {
			return value{}, -1
		}
		return value{name: name, s: text}, n + m
	case text, topicName, binaryData:
		v.s, size = takeBinary(s)
		return v, size
	}
	if size > len(s) {
		return value{}, -1
	}
	for i := range size {
		v.number = v.number<<8 | uint32(s[i])
	}
	return v, size
}

// valid reports whether the specification allows the value.
func (p *property) valid(v *value) bool {
	switch p.kind {
	case oneBit:
		return v.number <= 1
	case text:
		return validText(v.s)
	case topicName:
		return validText(v.s) && !hasWildcard(v.s)
	case pair:
		return validText(v.name) && validText(v.s)
	case twoBytes, fourBytes, variable, binaryData:
	}
	return !p.positive || v.number > 0
}

// takeBinary reads a length of two bytes and that number of bytes. size is -1 if s is too
// short.
func takeBinary(s string) (text string, size int) {
	if len(s) < 2 {
		return "", -1
	}
	size = 2 + int(s[0])<<8 + int(s[1])
	if size > len(s) {
		return "", -1
	}
	return s[2:size], size
}

// takeVarint reads a variable byte integer. It accepts encodings that are longer than
// necessary. size is -1 if s is too short, or if the integer has more than four bytes.
func takeVarint(s string) (v value, size int) {
	for i := range min(len(s), maxVarintSize) {
		v.number |= uint32(s[i]&0x7f) << (7 * i)
		if s[i]&0x80 == 0 {
			return v, i + 1
		}
	}
	return value{}, -1
}

// validText reports whether s may be a UTF-8 encoded string (section 1.5.3 of 3.1.1,
// 1.5.4 of 5). Control characters and non-characters are allowed: senders should not use
// them, but receivers may accept them.
func validText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func hasWildcard(s string) bool {
	return strings.IndexByte(s, '+') >= 0 || strings.IndexByte(s, '#') >= 0
}

// topicFault returns the fault of a topic name, or 0. It does not check for an empty name.
func topicFault(s string) Faults {
	switch {
	case !utf8.ValidString(s): // [MQTT-1.5.3-1] of 3.1.1, [MQTT-1.5.4-1] of 5
		return FaultTopicUTF8
	case strings.IndexByte(s, 0) >= 0: // [MQTT-1.5.3-2] of 3.1.1, [MQTT-1.5.4-2] of 5
		return FaultTopicNUL
	case hasWildcard(s): // [MQTT-3.3.2-2]
		return FaultTopicWildcard
	}
	return 0
}

// propertySection reads a property length from s (MQTT 5 section 2.2.2). It returns the
// properties and the rest of s. ok is false if the length is malformed or exceeds s.
func propertySection(s string) (section, rest string, ok bool) {
	length, size := takeVarint(s)
	if size < 0 || int(length.number) > len(s)-size {
		return "", "", false
	}
	end := size + int(length.number)
	return s[size:end], s[end:], true
}
