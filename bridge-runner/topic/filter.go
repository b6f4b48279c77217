// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package topic matches topic names against topic filters and maps topics by
// templates.
//
// It promises the semantics of section 4.7, alike in MQTT 3.1.1 and 5, and that what
// is compiled once is matched without allocation. It knows nothing of messages or
// sessions.
package topic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxLength is the longest topic name or filter in bytes: MQTT carries its length
// in two bytes (MQTT 3.1.1 section 1.5.3).
const maxLength = 65535

// exclusive begins the filters of exclusive subscriptions (EMQX and others): the server
// grants the filter behind it to one client at a time, and sends messages with their own
// topics.
const exclusive = "$exclusive/"

// Filter is a topic filter (MQTT 3.1.1 section 4.7.1). One that begins with $exclusive/
// matches the topics that the filter behind it matches.
type Filter struct {
	prefix string // "" or exclusive: a part of the subscription, and of no topic
	levels []string
	// system says that a wildcard in the first place matches topics that start with $,
	// too. Only [Mapping.Output] makes such filters.
	system bool
}

// ParseFilter parses a topic filter. It refuses an empty one, wildcards that do
// not stand alone between slashes, a # that is not last, and NUL characters
// ([MQTT-4.7.1-1] to [MQTT-4.7.3-3]).
func ParseFilter(s string) (Filter, error) {
	name, isExclusive := strings.CutPrefix(s, exclusive)
	switch {
	case isExclusive && name == "":
		return Filter{}, errors.New("behind $exclusive/ stands the topic filter that the server grants to one client, as in $exclusive/a/#")
	case s == "":
		return Filter{}, errors.New("a topic filter must not be empty")
	case len(s) > maxLength:
		return Filter{}, fmt.Errorf("a topic filter has at most %d bytes", maxLength)
	case strings.ContainsRune(s, 0):
		return Filter{}, errors.New("a topic filter must not hold a NUL character")
	}
	levels := strings.Split(name, "/")
	for i, level := range levels {
		wild := strings.ContainsAny(level, "+#")
		if wild && len(level) > 1 || level == "#" && i != len(levels)-1 {
			return Filter{}, errors.New("in a topic filter + and # stand alone between slashes and # stands last, as in a/+/b/#")
		}
	}
	f := Filter{levels: levels}
	if isExclusive {
		f.prefix = exclusive
	}
	return f, nil
}

// String returns the filter as it was written.
func (f Filter) String() string { return f.prefix + f.topics() }

// topics is the filter of the topics that messages come with.
func (f Filter) topics() string { return strings.Join(f.levels, "/") }

// Levels returns the levels of the topics that the filter matches, wildcards among them.
func (f Filter) Levels() []string { return slices.Clone(f.levels) }

// Wildcards returns how many + and # the filter has.
func (f Filter) Wildcards() int {
	n := 0
	for _, level := range f.levels {
		if isWildcard(level) {
			n++
		}
	}
	return n
}

// Match reports whether the filter matches a topic name. A wildcard in the first
// place does not match a topic that starts with $ ([MQTT-4.7.2-1]).
func (f Filter) Match(topic string) bool {
	return f.walk(topic, nil)
}

// walk compares level by level, and calls capture, where it is not nil, with what
// each wildcard stands for. none is true for a # that stands for no level at all, as
// that of a/# does with the topic a.
func (f Filter) walk(topic string, capture func(s string, none bool)) bool {
	if strings.HasPrefix(topic, "$") && !f.matchesSystem() {
		return false
	}
	rest, more := topic, true
	for _, level := range f.levels {
		if level == "#" { // the parent level, too: a/# matches a
			if capture != nil {
				capture(rest, !more)
			}
			return true
		}
		if !more {
			return false
		}
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if level == "+" {
			if capture != nil {
				capture(name, false)
			}
		} else if level != name {
			return false
		}
	}
	return !more
}

// Covers reports whether f matches every topic that g matches.
func (f Filter) Covers(g Filter) bool {
	if g.system && !f.system || strings.HasPrefix(g.levels[0], "$") && !f.matchesSystem() {
		return false
	}
	for i, level := range f.levels {
		switch {
		case level == "#":
			return true
		case i < len(g.levels) && g.levels[i] == "#":
			return i == 0 && level == "+" && len(f.levels) == 2 && f.levels[1] == "#" // +/# is #
		case i >= len(g.levels):
			return false
		case level == "+":
		case level != g.levels[i]:
			return false
		}
	}
	return len(f.levels) == len(g.levels)
}

// Overlaps reports whether some topic is matched by both filters.
func (f Filter) Overlaps(g Filter) bool {
	a, b := f.levels, g.levels
	if strings.HasPrefix(b[0], "$") && !f.matchesSystem() || strings.HasPrefix(a[0], "$") && !g.matchesSystem() {
		return false
	}
	for {
		switch {
		case len(a) > 0 && a[0] == "#" || len(b) > 0 && b[0] == "#":
			return true
		case len(a) == 0 || len(b) == 0:
			return len(a) == len(b)
		case a[0] != b[0] && a[0] != "+" && b[0] != "+":
			return false
		}
		a, b = a[1:], b[1:]
		// a/# matches a, too.
		if len(a) == 0 && len(b) == 1 && b[0] == "#" || len(b) == 0 && len(a) == 1 && a[0] == "#" {
			return true
		}
	}
}

// matchesSystem reports whether the filter's first level can match a $ at the start.
func (f Filter) matchesSystem() bool { return f.system || !isWildcard(f.levels[0]) }

func isWildcard(level string) bool { return level == "+" || level == "#" }
