// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// toYAML returns the same text as yaml.Marshal. yaml.Marshal needs more time and memory than the
// rest of a plan, because it parses the JSON form of v as YAML, and its emitter keeps all events
// of the document. toYAML writes the JSON form of v directly if it has only values whose text in
// YAML is evident, as in almost all bridges, and leaves every other document to yaml.JSONToYAML.
func toYAML(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	w := yamlWriter{out: make([]byte, 0, 2*len(raw))}
	if raw[0] == '{' && len(raw) > 2 && w.object(raw, 0) {
		return w.out, nil
	}
	return yaml.JSONToYAML(raw)
}

// yamlWriter writes YAML. Its methods return false if they do not know the text of a value. They
// follow the rules of go.yaml.in/yaml/v2.
type yamlWriter struct{ out []byte }

// maxLine is the length of a line, in bytes, from which the emitter may break a text at spaces.
const maxLine = 80

// object writes the fields of an object. The caller has written the indentation of the first.
func (w *yamlWriter) object(object []byte, indent int) bool {
	fields, err := sortedFields(object)
	if err != nil {
		return false
	}
	for i, f := range fields {
		if !isSimpleName(f.name) {
			return false
		}
		if i > 0 {
			w.indent(indent)
		}
		w.out = append(append(w.out, f.name...), ':')
		if !w.fieldValue(f.value(), indent) {
			return false
		}
	}
	return true
}

func (w *yamlWriter) fieldValue(value []byte, indent int) bool {
	switch {
	case len(value) > 2 && value[0] == '{':
		w.out = append(w.out, '\n')
		w.indent(indent + 2)
		return w.object(value, indent+2)
	case len(value) > 2 && value[0] == '[':
		w.out = append(w.out, '\n')
		return w.array(value, indent)
	default:
		w.out = append(w.out, ' ')
		return w.scalar(value)
	}
}

func (w *yamlWriter) array(array []byte, indent int) bool {
	for item := range items(array) {
		w.indent(indent)
		w.out = append(w.out, "- "...)
		known := false
		switch {
		case item[0] == '[':
		case len(item) > 2 && item[0] == '{':
			known = w.object(item, indent+2)
		default:
			known = w.scalar(item)
		}
		if !known {
			return false
		}
	}
	return true
}

func (w *yamlWriter) indent(n int) {
	for range n {
		w.out = append(w.out, ' ')
	}
}

// scalar writes a value without fields or items, and ends the line.
func (w *yamlWriter) scalar(value []byte) bool {
	if value[0] == '"' {
		return w.text(value[1 : len(value)-1])
	}
	isNumber := value[0] == '-' || isDigit(value[0])
	if isNumber && (len(value) > 15 || bytes.ContainsAny(value, ".eE") || bytes.HasPrefix(value, []byte("-0"))) {
		return false
	}
	w.out = append(append(w.out, value...), '\n')
	return true
}

// text writes a string, and ends the line.
func (w *yamlWriter) text(text []byte) bool {
	quote, known := quoteOf(text)
	line := len(w.out) - bytes.LastIndexByte(w.out, '\n') + len(text) + 2
	if !known || line > maxLine && bytes.IndexByte(text, ' ') >= 0 {
		return false
	}
	w.out = append(w.out, quote...)
	w.out = append(w.out, text...)
	w.out = append(w.out, quote...)
	w.out = append(w.out, '\n')
	return true
}

// isSimpleName reports whether the name of a field needs no quotation marks, and sorts as its
// bytes do. yaml.Marshal sorts numbers of several digits by value.
func isSimpleName(name string) bool {
	if len(name) == 0 || len(name) > 128 || !isLetter(name[0]) || isReserved(name) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		isSingleDigit := isDigit(c) && isLetter(name[i-1]) && i+1 < len(name) && isLetter(name[i+1])
		if !isLetter(c) && c != '.' && c != '/' && c != '-' && !isSingleDigit {
			return false
		}
	}
	return true
}

// quoteOf returns the quotation mark of a string, which is empty for most strings.
func quoteOf(text []byte) (quote string, known bool) {
	if len(text) == 0 {
		return `"`, true
	}
	first, last := text[0], text[len(text)-1]
	switch {
	case !isPrintable(text) || first == ' ' || last == ' ' || last == ':' || bytes.Contains(text, []byte(": ")) || bytes.Contains(text, []byte(" #")):
		return "", false
	case isLetter(first):
		return "", !isReserved(string(text))
	case first == '/' || first == '$' || first == '_' || first == '+' && len(text) > 1 && text[1] == '/':
		return "", true
	case first == '#' || first == '*' || first == '%' || first == '@':
		return `'`, true
	case isDigit(first):
		return quoteOfDigits(text)
	default:
		return "", false
	}
}

// quoteOfDigits returns the quotation mark of a string that starts with a digit. It is empty if a
// character of the string occurs in no number and in no time.
func quoteOfDigits(text []byte) (quote string, known bool) {
	if isOnly := !slices.ContainsFunc(text, func(c byte) bool { return !isDigit(c) }); isOnly {
		return `"`, text[0] != '0' && len(text) <= 18
	}
	others := "ghijklmnpqrsuvwyGHIJKLMNPQRSUVWY*/$#"
	if text[0] != '0' || isDigit(text[1]) || strings.IndexByte("acdf", text[1]) >= 0 { // decimal or octal
		others += "abcdfABCDF"
	}
	return "", bytes.ContainsAny(text, others)
}

// isPrintable reports whether a text consists of printable ASCII characters that neither JSON
// nor YAML changes in quotation marks.
func isPrintable(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return c < ' ' || c > '~' || c == '\\' || c == '\'' })
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// isReserved reports whether YAML 1.1 reads a text without quotation marks as another type.
func isReserved(text string) bool {
	switch strings.ToLower(text) {
	case "y", "yes", "true", "on", "n", "no", "false", "off", "null":
		return true
	default:
		return false
	}
}
