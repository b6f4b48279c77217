// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tree holds the keys and values of a configuration file, each with its line and column.
// The parsers of the formats make it, and package draft reads it.
package tree

import (
	"fmt"
	"slices"
)

// Kind is the kind of a value.
type Kind int

// The kinds of values.
const (
	// Text is a string, a number or a boolean: Value.Text holds it.
	Text Kind = iota
	// Object is a list of keys with values: Value.Fields holds them.
	Object
	// List is a list of values: Value.Items holds them.
	List
	// Reference is a value that the program takes from another place, such as ${HOST} in
	// HOCON: Value.Text holds it as it is written.
	Reference
)

// Value is a value in a configuration file.
type Value struct {
	Kind   Kind
	Text   string
	Fields []*Field
	Items  []*Value
	// Line and Column are the position of its first character, counted from 1.
	Line, Column int

	// index holds the positions of the first indexed fields, by key: of fields with the same key, the
	// first one. It is used if there are many fields.
	index   map[string]int
	indexed int
}

// Field is a key with its value.
type Field struct {
	Key string
	// Shown is the key as messages show it. Empty: the path of the key.
	Shown string
	// Line and Column are the position of the key, counted from 1.
	Line, Column int
	Value        *Value
}

// Get returns the field with this key, or nil.
func (v *Value) Get(key string) *Field {
	if at := v.position(key); at >= 0 {
		return v.Fields[at]
	}
	return nil
}

// manyFields is the number of fields from which on the index is used.
const manyFields = 32

// position returns the position of the first field with this key, or -1.
func (v *Value) position(key string) int {
	if v == nil {
		return -1
	}
	if len(v.Fields) < manyFields {
		return slices.IndexFunc(v.Fields, func(f *Field) bool { return f.Key == key })
	}
	if v.index == nil {
		v.index = map[string]int{}
	}
	for ; v.indexed < len(v.Fields); v.indexed++ {
		if _, ok := v.index[v.Fields[v.indexed].Key]; !ok {
			v.index[v.Fields[v.indexed].Key] = v.indexed
		}
	}
	if at, ok := v.index[key]; ok {
		return at
	}
	return -1
}

// Find returns the field at a path of keys, or nil.
func (v *Value) Find(path ...string) *Field {
	var f *Field
	for _, key := range path {
		if f = v.Get(key); f == nil {
			return nil
		}
		v = f.Value
	}
	return f
}

// Set sets the field at a path, which has at least one key. Objects under the same key are merged; otherwise the later
// value replaces the earlier one.
func (v *Value) Set(path []string, f *Field) {
	if len(path) == 0 {
		return
	}
	old := v.Get(path[0])
	if len(path) > 1 {
		if old == nil || old.Value.Kind != Object {
			next := &Field{Key: path[0], Line: f.Line, Column: f.Column, Value: &Value{Kind: Object, Line: f.Line, Column: f.Column}}
			v.put(next)
			old = next
		}
		old.Value.Set(path[1:], f)
		return
	}
	f.Key = path[0]
	if old != nil && old.Value.Kind == Object && f.Value.Kind == Object {
		for _, inner := range f.Value.Fields {
			old.Value.Set([]string{inner.Key}, inner)
		}
		return
	}
	v.put(f)
}

// put puts a field in the place of the field with the same key, or at the end if there is none.
func (v *Value) put(f *Field) {
	if at := v.position(f.Key); at >= 0 {
		v.Fields[at] = f
	} else {
		v.Fields = append(v.Fields, f)
	}
}

// Error is a fault in a configuration file.
type Error struct {
	// Line and Column are the position of the fault, counted from 1.
	Line, Column int
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Errorf returns an error at a position.
func Errorf(line, column int, format string, args ...any) *Error {
	return &Error{Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}
