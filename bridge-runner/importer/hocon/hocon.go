// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hocon reads the part of HOCON that NanoMQ and EMQX use in their configuration files,
// with the line and column of each key and value.
//
// It reads objects, with or without braces at the root, paths of keys such as a.b.c, lists,
// quoted and unquoted text, comments, and include. Later values replace earlier ones, and objects
// under the same key are merged. It does not resolve ${...}: such a value is a [tree.Reference].
// It refuses everything else, and the error names the line, the column and the remedy.
package hocon

import (
	"strings"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// maxDepth is the deepest nesting of objects and lists.
const maxDepth = 64

// Include is a file that the configuration includes.
type Include struct {
	File string
	Line int
}

// Parse reads a configuration.
func Parse(data []byte) (*tree.Value, []Include, error) {
	p := &parser{text: strings.TrimPrefix(string(data), "\uFEFF"), line: 1}
	root, err := p.root()
	if err != nil {
		return nil, nil, err
	}
	return root, p.includes, nil
}

type parser struct {
	text      string
	at        int // offset of the next character
	line      int
	lineStart int // offset of the first character of the line
	depth     int
	includes  []Include

	// counted is an offset in the line that begins at countedLine, and characters the number of
	// characters before it, so that column counts a long line once.
	counted, countedLine, characters int
}

// column returns the column of the next character, counted from 1.
func (p *parser) column() int {
	if p.countedLine != p.lineStart || p.counted > p.at || p.counted < p.lineStart {
		p.counted, p.countedLine, p.characters = p.lineStart, p.lineStart, 0
	}
	p.characters += utf8.RuneCountInString(p.text[p.counted:p.at])
	p.counted = p.at
	return p.characters + 1
}

func (p *parser) fail(format string, args ...any) error {
	return tree.Errorf(p.line, p.column(), format, args...)
}

// peek returns the next byte, or 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) has(prefix string) bool { return strings.HasPrefix(p.text[p.at:], prefix) }

func (p *parser) end() bool { return p.at >= len(p.text) }

// next moves to the next character.
func (p *parser) next() {
	if p.text[p.at] == '\n' {
		p.line++
		p.lineStart = p.at + 1
	}
	p.at++
}

// spaces skips white space in the line.
func (p *parser) spaces() {
	for !p.end() && (p.peek() == ' ' || p.peek() == '\t' || p.peek() == '\r') {
		p.next()
	}
}

// blank skips white space, line ends and comments, and reports whether there was a line end.
func (p *parser) blank() (lineEnd bool) {
	for {
		p.spaces()
		switch {
		case p.peek() == '#' && !p.end(), p.has("//"):
			for !p.end() && p.peek() != '\n' {
				p.next()
			}
		case p.peek() == '\n':
			lineEnd = true
			p.next()
		default:
			return lineEnd
		}
	}
}

func (p *parser) root() (*tree.Value, error) {
	p.blank()
	var root *tree.Value
	var err error
	if p.peek() == '{' {
		root, err = p.object()
	} else {
		root = &tree.Value{Kind: tree.Object, Line: p.line, Column: p.column()}
		err = p.members(root)
	}
	if err != nil {
		return nil, err
	}
	p.blank()
	if !p.end() {
		return nil, p.fail("unexpected %q; a closing brace has no opening brace, or text follows the end of the object", p.rune())
	}
	return root, nil
}

// rune returns the next character.
func (p *parser) rune() string {
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return string(r)
}

// object reads an object with its braces.
func (p *parser) object() (*tree.Value, error) {
	v := &tree.Value{Kind: tree.Object, Line: p.line, Column: p.column()}
	p.depth++
	if p.depth > maxDepth {
		return nil, p.fail("objects and lists are nested deeper than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	p.next()
	if err := p.members(v); err != nil {
		return nil, err
	}
	if p.peek() != '}' {
		return nil, p.fail("the object that begins in line %d, column %d has no closing brace }", v.Line, v.Column)
	}
	p.next()
	return v, nil
}

// members reads keys and values until the end of the text or a closing brace.
func (p *parser) members(v *tree.Value) error {
	for {
		p.blank()
		if p.end() || p.peek() == '}' {
			return nil
		}
		if included, err := p.include(); err != nil {
			return err
		} else if !included {
			if err := p.member(v); err != nil {
				return err
			}
		}
		if err := p.separator('}', "key"); err != nil {
			return err
		}
	}
}

// separator reads the comma or the line end after a member or an item.
func (p *parser) separator(closing byte, what string) error {
	lineEnd := p.blank()
	switch {
	case p.peek() == ',':
		p.next()
		p.blank()
		if p.peek() == ',' {
			return p.fail("unexpected second comma; remove it")
		}
	case !lineEnd && !p.end() && p.peek() != closing:
		return p.fail("unexpected %q; begin each %s in a line of its own, or write a comma before it", p.rune(), what)
	}
	return nil
}

// member reads a key and its value.
func (p *parser) member(v *tree.Value) error {
	line, column := p.line, p.column()
	path, err := p.path()
	if err != nil {
		return err
	}
	p.spaces()
	switch c := p.peek(); {
	case c == '{' && !p.end():
	case c == ':' || c == '=':
		p.next()
		p.blank()
	case p.has("+="):
		return p.fail("+= is not supported; write the whole list")
	default:
		p.blank()
		if p.peek() != '{' {
			// The text may be the rest of a password with a comma, so the error does not quote it.
			return tree.Errorf(line, column, "this key has no value; write KEY = and a value, and write a value with a comma or braces in quotes")
		}
	}
	value, err := p.value('}')
	if err != nil {
		return err
	}
	v.Set(path, &tree.Field{Line: line, Column: column, Value: value})
	return nil
}

// path reads a key: parts that are separated by dots.
func (p *parser) path() ([]string, error) {
	var path []string
	for {
		var part string
		switch {
		case p.peek() == '"' && !p.end():
			text, err := p.quoted()
			if err != nil {
				return nil, err
			}
			part = text
		default:
			start := p.at
			for !p.end() && !strings.ContainsRune(" \t\r\n.:={}[],\"#$", rune(p.peek())) && !p.has("//") && !p.has("+=") {
				p.next()
			}
			part = p.text[start:p.at]
		}
		if part == "" && p.peek() != '.' && len(path) == 0 {
			return nil, p.fail("expected a key, found %q", p.rune())
		}
		if part == "" {
			return nil, p.fail("a key has an empty part between two dots, or a dot at its beginning or end")
		}
		path = append(path, part)
		if len(path) > maxDepth {
			return nil, p.fail("the key has more than %d parts", maxDepth)
		}
		if p.peek() != '.' {
			return path, nil
		}
		p.next()
	}
}

// include reads an include, if there is one.
func (p *parser) include() (bool, error) {
	rest, found := strings.CutPrefix(p.text[p.at:], "include")
	trimmed := strings.TrimLeft(rest, " \t")
	if !found || trimmed == rest || trimmed == "" || !strings.HasPrefix(trimmed, `"`) && !strings.HasPrefix(trimmed, "file(") && !strings.HasPrefix(trimmed, "required(") {
		return false, nil
	}
	line := p.line
	p.at += len("include")
	for !p.end() && p.peek() != '"' && p.peek() != '\n' {
		p.next()
	}
	if p.peek() != '"' {
		return true, p.fail("include needs the name of a file in quotes")
	}
	file, err := p.quoted()
	if err != nil {
		return true, err
	}
	for !p.end() && (p.peek() == ')' || p.peek() == ' ') {
		p.next()
	}
	p.includes = append(p.includes, Include{File: file, Line: line})
	return true, nil
}
