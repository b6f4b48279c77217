// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package topic matches topic names against topic filters, and maps topics by
// templates.
//
// It promises the semantics of section 4.7, which is the same in MQTT 3.1.1 and 5. A
// parsed filter matches without allocating. The package does not know messages or
// sessions.
package topic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxLength is the greatest length of a topic name or filter, in bytes. MQTT encodes the
// length in two bytes (MQTT 3.1.1 section 1.5.3).
const maxLength = 65535

// exclusive is the prefix of exclusive subscriptions (EMQX and others). The server grants
// the filter after the prefix to one client at a time. The topics of the messages do not
// have the prefix.
const exclusive = "$exclusive/"

// Filter is a topic filter (MQTT 3.1.1 section 4.7.1). A filter that begins with
// $exclusive/ matches the topics that the rest of the filter matches.
type Filter struct {
	prefix string // "" or exclusive; a part of the subscription, but of no topic
	levels []string
	// system makes a wildcard in the first level also match topics that start with $.
	// Only [Mapping.Output] returns such filters.
	system bool
}

// ParseFilter parses a topic filter. It rejects empty filters, wildcards that are only a
// part of a level, a # that is not the last level, and NUL characters ([MQTT-4.7.1-1] to
// [MQTT-4.7.3-3]).
func ParseFilter(s string) (Filter, error) {
	name, isExclusive := strings.CutPrefix(s, exclusive)
	switch {
	case isExclusive && name == "":
		return Filter{}, errors.New("$exclusive/ must be followed by a topic filter, as in $exclusive/a/#")
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
			return Filter{}, errors.New("in a topic filter + and # must each be a whole level between slashes, and # must be the last level, as in a/+/b/#")
		}
	}
	f := Filter{levels: levels}
	if isExclusive {
		f.prefix = exclusive
	}
	return f, nil
}

// String returns the filter as it was parsed.
func (f Filter) String() string { return f.prefix + f.Topics() }

// Topics returns the filter without the prefix $exclusive/. It matches the topics of messages.
func (f Filter) Topics() string { return strings.Join(f.levels, "/") }

// Levels returns the levels of the filter, including wildcards, without the prefix.
func (f Filter) Levels() []string { return slices.Clone(f.levels) }

// Wildcards returns the number of wildcards, + and #, in the filter.
func (f Filter) Wildcards() int {
	n := 0
	for _, level := range f.levels {
		if isWildcard(level) {
			n++
		}
	}
	return n
}

// Match reports whether the filter matches a topic name. A wildcard in the first level
// does not match a topic that starts with $ ([MQTT-4.7.2-1]).
func (f Filter) Match(topic string) bool {
	return f.walk(topic, nil)
}

// walk compares a topic name with the filter level by level. If capture is not nil, walk
// calls it with the text that each wildcard matches. none is true if a # matches no level
// at all, as in the filter a/# with the topic a.
func (f Filter) walk(topic string, capture func(s string, none bool)) bool {
	if strings.HasPrefix(topic, "$") && !f.matchesSystem() {
		return false
	}
	rest, more := topic, true
	for _, level := range f.levels {
		if level == "#" { // it also matches the parent level: a/# matches a
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

// Exclusive reports whether the filter begins with $exclusive/.
func (f Filter) Exclusive() bool { return f.prefix != "" }

// SameTopics reports whether two valid filters differ at most in the prefix $exclusive/. For EMQX,
// such filters are the same subscription: the later SUBSCRIBE replaces the earlier one, and an
// UNSUBSCRIBE of either ends it.
func SameTopics(f, g string) bool { return WithoutPrefix(f) == WithoutPrefix(g) }

// WithoutPrefix returns a valid filter without the prefix $exclusive/.
func WithoutPrefix(f string) string { return strings.TrimPrefix(f, exclusive) }

// Covers reports whether a client that has subscribed to f needs no subscription to g: f matches
// every topic that g matches. An exclusive filter covers only the filters of [SameTopics], and only
// such a filter covers it: the server may refuse f and grant g, and the right to an exclusive
// subscription is that to its own filter.
func (f Filter) Covers(g Filter) bool {
	if f.Exclusive() || g.Exclusive() {
		return f.Exclusive() && slices.Equal(f.levels, g.levels)
	}
	if g.system && !f.system || strings.HasPrefix(g.levels[0], "$") && !f.matchesSystem() {
		return false
	}
	for i, level := range f.levels {
		switch {
		case level == "#":
			return true
		case i < len(g.levels) && g.levels[i] == "#":
			return i == 0 && level == "+" && len(f.levels) == 2 && f.levels[1] == "#" // +/# matches the same topics as #
		case i >= len(g.levels):
			return false
		case level == "+":
		case level != g.levels[i]:
			return false
		}
	}
	return len(f.levels) == len(g.levels)
}

// Overlaps reports whether both filters match some topic.
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
		// a/# also matches a.
		if len(a) == 0 && len(b) == 1 && b[0] == "#" || len(b) == 0 && len(a) == 1 && a[0] == "#" {
			return true
		}
	}
}

// matchesSystem reports whether the filter can match topics that start with $.
func (f Filter) matchesSystem() bool { return f.system || !isWildcard(f.levels[0]) }

func isWildcard(level string) bool { return level == "+" || level == "#" }
