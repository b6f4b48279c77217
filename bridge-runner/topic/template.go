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

// Mapping gives the topic under which a message goes on: a filter, and a template
// of text, ${topic} and the captures ${1}, ${2} and so on.
type Mapping struct {
	filter Filter
	parts  []part
	whole  bool // the template is ${topic}
}

// part is a piece of a template: text, or, where text is empty, a placeholder.
// Capture 0 is the whole topic.
type part struct {
	text    string
	capture int
}

var placeholder = regexp.MustCompile(`\$\{(topic|[1-9]\d?)\}`)

// ParseMapping compiles a template against the filter whose captures it uses. It
// refuses wildcards, placeholders other than ${topic} and ${1} to ${99}, and
// captures that the filter does not have.
func ParseMapping(f Filter, template string) (Mapping, error) {
	m := Mapping{filter: f, whole: template == "${topic}"}
	switch {
	case template == "":
		return m, errors.New("a topic to publish under must not be empty")
	case strings.ContainsAny(template, "+#"):
		return m, errors.New("a topic to publish under has no wildcards + or #; use ${1}, ${2} for what the filter's wildcards matched")
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
			capture, _ = strconv.Atoi(name) // one or two digits by the expression
		}
		if capture > f.Wildcards() {
			return m, fmt.Errorf("topic uses a capture that the filter does not have; ${1} is what the filter's first + or # matched, ${2} the second, and so on")
		}
		m.parts = append(m.parts, part{capture: capture})
		last = at[1]
	}
	text = append(text, template[last:])
	m.addText(template[last:])
	for _, t := range text {
		if strings.ContainsAny(t, "{}") || strings.Contains(t, "$$") || strings.HasSuffix(t, "$") {
			return m, errors.New("the placeholders of a topic are ${topic} and ${1}, ${2} and so on; other uses of { } or a $ before another $ or at the end are not possible")
		}
	}
	return m, nil
}

func (m *Mapping) addText(s string) {
	if s != "" {
		m.parts = append(m.parts, part{text: s})
	}
}

// Map returns the topic under which a message that came with topic goes on. ok is
// false if the filter does not match, if the result is no topic name (section 4.7.3):
// a server would end the connection at it, again and again; and if the result starts
// with $ because of the message's own topic: topics such as $SYS/x or $aws/x have a
// meaning for the server, and only the manifest may name them.
func (m Mapping) Map(topic string) (mapped string, ok bool) {
	if m.whole {
		return topic, m.filter.Match(topic) && isName(topic)
	}
	var captures []string
	none := 0 // the number of the capture that stands for no level, if there is one
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
			// Where # matched nothing the slash before its capture goes, so that
			// a/# to b/${1} makes b of a, and not b/.
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
	return mapped, isName(mapped) && (mapped[0] != '$' || m.namesSystem())
}

// namesSystem reports whether the template, or the filter whose topics it keeps, starts
// with a $.
func (m Mapping) namesSystem() bool {
	first := m.parts[0]
	if first.text == "" && first.capture == 0 {
		return strings.HasPrefix(m.filter.levels[0], "$")
	}
	return strings.HasPrefix(first.text, "$")
}

func isName(s string) bool {
	return s != "" && len(s) <= maxLength && !strings.ContainsAny(s, "+#\x00") && utf8.ValidString(s)
}

// Output returns a filter that matches every topic which the mapping can make. It
// matches topics that start with $ only if the mapping can make those.
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
			b.WriteString(m.filter.topics())
		default:
			b.WriteString(wildcards[p.capture-1])
		}
	}
	// A wildcard within a level, or a # before the end, stands for more than a
	// filter can say: widen it.
	levels := strings.Split(b.String(), "/")
	startsSystem := strings.HasPrefix(levels[0], "$")
	for i, level := range levels {
		if strings.Contains(level, "#") {
			if level != "#" && i > 0 {
				i-- // without a level that # stands for, its level joins the one before it
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
