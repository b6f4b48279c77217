// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sortedJSON returns the JSON form of v with the fields of all objects sorted. It is the text
// that json.Marshal makes of the maps that json.Unmarshal reads from the JSON form of v, but it
// sorts the text and makes no maps: the operator hashes the template and the spec of each bridge
// when it starts.
//
// The text must not change between versions of the operator, because its hash is stored in
// annotations. The strings in v must be valid UTF-8, as in all objects of the API server.
func sortedJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return appendSorted(make([]byte, 0, len(raw)), raw)
}

// jsonField is a field of an object: its name, and the JSON text of its name and its value.
type jsonField struct {
	name string
	text []byte
}

// appendSorted appends a JSON value, which has no white space, to out with sorted fields.
func appendSorted(out, value []byte) ([]byte, error) {
	switch value[0] {
	case '{':
		return appendObject(out, value)
	case '[':
		return appendArray(out, value)
	case '"', 't', 'f', 'n':
		return append(out, value...), nil
	default:
		return appendNumber(out, value)
	}
}

// sortedFields returns the fields of an object, sorted by name.
func sortedFields(object []byte) ([]jsonField, error) {
	fields := make([]jsonField, 0, 8)
	for text := range items(object) {
		name, err := strconv.Unquote(string(text[:stringLength(text)]))
		if err != nil {
			return nil, fmt.Errorf("reading the name of a field: %w", err)
		}
		fields = append(fields, jsonField{name, text})
	}
	slices.SortFunc(fields, func(a, b jsonField) int { return strings.Compare(a.name, b.name) })
	return fields, nil
}

// value returns the JSON text of the value.
func (f jsonField) value() []byte { return f.text[stringLength(f.text)+1:] }

func appendObject(out, object []byte) ([]byte, error) {
	fields, err := sortedFields(object)
	if err != nil {
		return nil, err
	}
	out = append(out, '{')
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		value := f.value()
		out = append(out, f.text[:len(f.text)-len(value)]...)
		if out, err = appendSorted(out, value); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendArray(out, array []byte) ([]byte, error) {
	out = append(out, '[')
	first := true
	for text := range items(array) {
		if !first {
			out = append(out, ',')
		}
		first = false
		var err error
		if out, err = appendSorted(out, text); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// appendNumber appends a number as json.Marshal writes the float64 that json.Unmarshal reads.
// Whole numbers of at most 15 digits have the same text in both types.
func appendNumber(out, number []byte) ([]byte, error) {
	if len(number) <= 15 && !bytes.ContainsAny(number, ".eE") {
		return append(out, number...), nil
	}
	var f float64
	if err := json.Unmarshal(number, &f); err != nil {
		return nil, err
	}
	text, err := json.Marshal(f)
	return append(out, text...), err
}

// items yields the text of each item of an array, or of each field of an object.
func items(list []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		start, depth := 1, 0
		for i := 0; i < len(list); i++ {
			switch list[i] {
			case '"':
				i += stringLength(list[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			atEnd := depth == 0
			if (atEnd || depth == 1 && list[i] == ',') && i > start {
				if !yield(list[start:i]) {
					return
				}
				start = i + 1
			}
		}
	}
}

// stringLength returns the length of the JSON string, with its quotation marks, at the start of
// text.
func stringLength(text []byte) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}
