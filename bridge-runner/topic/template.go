// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mapping computes the topic under which a message is published. It consists of a filter
// and a template. The template contains text, ${topic}, and the captures ${1}, ${2} and so
// on, which are the texts that the filter's wildcards match.
type Mapping struct {
	filter Filter
	parts  []part
	whole  bool // the template is ${topic}
}

// String returns the template.
func (m Mapping) String() string {
	if m.whole {
		return "${topic}"
	}
	var b strings.Builder
	for _, p := range m.parts {
		switch {
		case p.text != "":
			b.WriteString(p.text)
		case p.capture == 0:
			b.WriteString("${topic}")
		default:
			fmt.Fprintf(&b, "${%d}", p.capture)
		}
	}
	return b.String()
}

// part is a part of a template: text, or a placeholder if text is empty.
type part struct {
	text    string
	capture int // the number of the capture; 0: the whole topic
}

var placeholder = regexp.MustCompile(`\$\{(topic|[1-9]\d?)\}`)

// withoutBraces matches a placeholder in the notation of shells and regular expressions,
// which would be text here.
var withoutBraces = regexp.MustCompile(`\$(?:\d|topic)`)

// ParseMapping parses a template for a filter. It rejects wildcards, placeholders other
// than ${topic} and ${1} to ${99}, placeholders without braces, and captures that the filter
// does not have.
func ParseMapping(f Filter, template string) (Mapping, error) {
	m := Mapping{filter: f, whole: template == "${topic}"}
	switch {
	case template == "":
		return m, errors.New("the topic of a rule must not be empty")
	case strings.ContainsAny(template, "+#"):
		return m, errors.New("the topic of a rule must not contain the wildcards + or #; use ${1}, ${2} for the text that the filter's wildcards match")
	case strings.ContainsRune(template, 0):
		return m, errors.New("a topic must not hold a NUL character")
	}
	var text []string
	last := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(template, -1) {
		text = append(text, template[last:at[0]])
		m.addText(template[last:at[0]])
		name := template[at[2]:at[3]]
		capture := 0
		if name != "topic" {
			capture, _ = strconv.Atoi(name) // the expression allows only one or two digits
		}
		if capture > f.Wildcards() {
			return m, fmt.Errorf("topic has a placeholder with a number that is higher than the number of wildcards in the filter; ${1} is the text that the filter's first + or # matches, ${2} the second, and so on")
		}
		m.parts = append(m.parts, part{capture: capture})
		last = at[1]
	}
	text = append(text, template[last:])
	m.addText(template[last:])
	for _, t := range text {
		if withoutBraces.MatchString(t) {
			return m, errors.New("a placeholder needs braces: write ${1} instead of $1, and ${topic} instead of $topic")
		}
		if strings.ContainsAny(t, "{}") || strings.Contains(t, "$$") || strings.HasSuffix(t, "$") {
			return m, errors.New("the placeholders of a topic are ${topic}, ${1}, ${2} and so on; the topic must not contain { or } elsewhere, or a $ before another $ or at its end")
		}
	}
	return m, nil
}

func (m *Mapping) addText(s string) {
	if s != "" {
		m.parts = append(m.parts, part{text: s})
	}
}

// Map returns the topic under which to publish a message that was received with topic.
// ok is false in three cases:
//   - The filter does not match.
//   - The result is not a topic name (section 4.7.3). A server would close the connection,
//     again and again.
//   - The result starts with $ because of the message's own topic. Topics such as $SYS/x or
//     $aws/x have a meaning for the server, and only the manifest may name them.
func (m Mapping) Map(topic string) (mapped string, ok bool) {
	if m.whole {
		return topic, m.filter.Match(topic) && IsName(topic)
	}
	var captures []string
	none := 0 // the number of the capture that matches no level; 0: there is none
	if !m.filter.walk(topic, func(s string, isNone bool) {
		captures = append(captures, s)
		if isNone {
			none = len(captures)
		}
	}) {
		return "", false
	}
	var b strings.Builder
	for i, p := range m.parts {
		switch {
		case p.text != "":
			text := p.text
			// If # matched no level, the slash before its capture is removed: with
			// the filter a/# and the template b/${1}, the topic a becomes b, not b/.
			if none > 0 && i+1 < len(m.parts) && m.parts[i+1].capture == none {
				text = strings.TrimSuffix(text, "/")
			}
			b.WriteString(text)
		case p.capture == 0:
			b.WriteString(topic)
		default:
			b.WriteString(captures[p.capture-1])
		}
	}
	mapped = b.String()
	return mapped, IsName(mapped) && (mapped[0] != '$' || m.namesSystem())
}

// namesSystem reports whether the template starts with $. If it begins with ${topic}, the
// start of the filter counts.
func (m Mapping) namesSystem() bool {
	first := m.parts[0]
	if first.text == "" && first.capture == 0 {
		return strings.HasPrefix(m.filter.levels[0], "$")
	}
	return strings.HasPrefix(first.text, "$")
}

// IsName reports whether a text can be the topic of a message (section 4.7.3): it is not empty, and has
// no wildcards.
func IsName(s string) bool {
	return s != "" && len(s) <= maxLength && !strings.ContainsAny(s, "+#\x00") && utf8.ValidString(s)
}

// Output returns a filter that matches every topic that the mapping can return. It
// matches topics that start with $ only if the mapping can return such topics.
func (m Mapping) Output() Filter {
	wildcards := make([]string, 0, m.filter.Wildcards())
	for _, level := range m.filter.levels {
		if isWildcard(level) {
			wildcards = append(wildcards, level)
		}
	}
	var b strings.Builder
	for _, p := range m.parts {
		switch {
		case p.text != "":
			b.WriteString(p.text)
		case p.capture == 0:
			b.WriteString(m.filter.Topics())
		default:
			b.WriteString(wildcards[p.capture-1])
		}
	}
	// A filter cannot contain a wildcard within a level, or a # before the last level.
	// The result is a wider filter.
	levels := strings.Split(b.String(), "/")
	startsSystem := strings.HasPrefix(levels[0], "$")
	for i, level := range levels {
		if strings.Contains(level, "#") {
			if level != "#" && i > 0 {
				i-- // if # matches no level, the rest of this level is joined to the previous level
			}
			levels = append(levels[:i:i], "#")
			break
		}
		if strings.Contains(level, "+") {
			levels[i] = "+"
		}
	}
	return Filter{levels: levels, system: startsSystem && isWildcard(levels[0])}
}
