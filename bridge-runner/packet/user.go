// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"iter"
	"strings"
)

// UserProperties are the User Properties of a message (MQTT 5 section 3.3.2.3.7), in the
// order of the packet ([MQTT-3.3.2-18]). They stay encoded as in the packet, because a
// list of strings would use several times as much memory.
type UserProperties string

// UserProperty is a name and a value.
type UserProperty struct{ Name, Value string }

// With returns the properties with more appended. It truncates names and values to 65,535
// bytes.
func (u UserProperties) With(more ...UserProperty) UserProperties {
	size := len(u)
	for i := range more {
		size += 1 + textSize(more[i].Name) + textSize(more[i].Value)
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(string(u))
	var encoded []byte
	for i := range more {
		encoded = appendText(append(encoded[:0], userProperty), more[i].Name)
		encoded = appendText(encoded, more[i].Value)
		b.Write(encoded)
	}
	return UserProperties(b.String())
}

// Without returns the properties without those that have the given name.
func (u UserProperties) Without(name string) UserProperties {
	others := joiner{text: string(u)}
	from := 0
	for one := range u.Encoded() {
		to := from + len(one)
		if n, _ := one.first(); n != name {
			others.add(from, to)
		}
		from = to
	}
	return UserProperties(others.String())
}

// All iterates over the names and values.
func (u UserProperties) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for property := range u.Encoded() {
			if name, value := property.first(); !yield(name, value) {
				return
			}
		}
	}
}

// Encoded iterates over the encoded properties, one at a time.
func (u UserProperties) Encoded() iter.Seq[UserProperties] {
	return func(yield func(one UserProperties) bool) {
		for rest := u; rest != ""; {
			_, size := properties[userProperty].take(string(rest[1:]))
			one := rest[:1+size]
			if rest = rest[1+size:]; !yield(one) {
				return
			}
		}
	}
}

// first returns the name and value of the first property.
func (u UserProperties) first() (name, value string) {
	v, _ := properties[userProperty].take(string(u[1:]))
	return v.name, v.s
}

// joiner joins parts of a text. It copies nothing while each part directly follows the
// previous one in the text.
type joiner struct {
	text     string
	from, to int             // the part of text so far; valid while copied is empty
	copied   strings.Builder // all parts, from the first gap on
}

func (j *joiner) add(from, to int) {
	switch {
	case j.copied.Len() > 0:
		j.copied.WriteString(j.text[from:to])
	case j.from == j.to:
		j.from, j.to = from, to
	case from == j.to:
		j.to = to
	default:
		j.copied.Grow(len(j.text) - j.from)
		j.copied.WriteString(j.text[j.from:j.to])
		j.copied.WriteString(j.text[from:to])
	}
}

func (j *joiner) String() string {
	if j.copied.Len() > 0 {
		return j.copied.String()
	}
	return j.text[j.from:j.to]
}
