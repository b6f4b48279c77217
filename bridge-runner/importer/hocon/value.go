// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package hocon

import (
	"strconv"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// value reads a value: an object, a list, or text in the rest of the line. closing is the bracket
// that ends the object or list around it.
func (p *parser) value(closing byte) (*tree.Value, error) {
	switch {
	case p.end():
		return nil, p.fail("the value is missing")
	case p.peek() == '{':
		return p.object()
	case p.peek() == '[':
		return p.list()
	}
	return p.textValue(closing)
}

// list reads a list with its brackets.
func (p *parser) list() (*tree.Value, error) {
	v := &tree.Value{Kind: tree.List, Line: p.line, Column: p.column()}
	p.depth++
	if p.depth > maxDepth {
		return nil, p.fail("objects and lists are nested deeper than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	p.next()
	for {
		p.blank()
		switch {
		case p.end() || p.peek() == '}':
			return nil, p.fail("the list that begins in line %d, column %d has no closing bracket ]", v.Line, v.Column)
		case p.peek() == ']':
			p.next()
			return v, nil
		}
		item, err := p.value(']')
		if err != nil {
			return nil, err
		}
		v.Items = append(v.Items, item)
		if err := p.separator(']', "item"); err != nil {
			return nil, err
		}
	}
}

// textValue reads the text until the end of the line, a comma or the closing bracket. Text in
// quotes and text without quotes may follow each other.
func (p *parser) textValue(closing byte) (*tree.Value, error) {
	v := &tree.Value{Kind: tree.Text, Line: p.line, Column: p.column()}
	var out strings.Builder
	pieces := 0
	for {
		start := p.at
		p.spaces()
		space := p.text[start:p.at]
		c := p.peek()
		if p.end() || c == '\n' || c == ',' || c == closing || c == '#' || p.has("//") {
			if pieces == 0 {
				return nil, p.fail("the value is missing")
			}
			v.Text = out.String()
			return v, nil
		}
		if pieces > 0 {
			out.WriteString(space)
		}
		pieces++
		switch {
		case c == '"':
			text, err := p.quoted()
			if err != nil {
				return nil, err
			}
			out.WriteString(text)
		case p.has("${"):
			length := strings.IndexAny(p.text[p.at:], "}\n")
			if length < 0 || p.text[p.at+length] == '\n' {
				return nil, p.fail("${ has no closing brace }")
			}
			v.Kind = tree.Reference
			out.WriteString(p.text[p.at : p.at+length+1])
			p.at += length + 1
		case strings.IndexByte("{}[]:=", c) >= 0:
			return nil, p.fail("%q is not allowed in a value without quotes; write the value in quotes, or begin the next key in a line of its own", string(c))
		default:
			start := p.at
			for !p.end() && !strings.ContainsRune(" \t\r\n,\"{}[]:=#$", rune(p.peek())) && !p.has("//") {
				p.next()
			}
			if p.at == start { // a $ that begins no reference
				p.next()
			}
			out.WriteString(p.text[start:p.at])
		}
	}
}

// quoted reads text in quotes, or in three quotes.
func (p *parser) quoted() (string, error) {
	line, column := p.line, p.column()
	if p.has(`"""`) {
		length := strings.Index(p.text[p.at+3:], `"""`)
		if length < 0 {
			return "", tree.Errorf(line, column, `the text has no closing """`)
		}
		text := p.text[p.at+3 : p.at+3+length]
		for range length + 6 {
			p.next()
		}
		return text, nil
	}
	p.next()
	var out strings.Builder
	for {
		switch c := p.peek(); {
		case p.end() || c == '\n':
			return "", tree.Errorf(line, column, "the text has no closing quote")
		case c == '"':
			p.next()
			return out.String(), nil
		case c == '\\':
			if err := p.escape(&out); err != nil {
				return "", err
			}
		default:
			out.WriteByte(c)
			p.next()
		}
	}
}

// escapes are the characters that a backslash and a letter stand for.
var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads a backslash and the characters after it.
func (p *parser) escape(out *strings.Builder) error {
	rest := p.text[p.at+1:]
	if strings.HasPrefix(rest, "u") && len(rest) >= 5 {
		if code, err := strconv.ParseUint(rest[1:5], 16, 16); err == nil {
			out.WriteRune(rune(code))
			p.at += 6
			return nil
		}
	}
	if rest == "" || escapes[rest[0]] == 0 {
		return p.fail(`a backslash in quotes must be followed by one of " \ / b f n r t, or u and four hexadecimal digits; write \\ for a backslash`)
	}
	out.WriteByte(escapes[rest[0]])
	p.at += 2
	return nil
}
