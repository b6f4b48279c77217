// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tree holds the keys and values of a configuration file, each with its line and column.
// The parsers of the formats make it, and package draft reads it.
package tree

import "fmt"

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
	if v == nil {
		return nil
	}
	for _, f := range v.Fields {
		if f.Key == key {
			return f
		}
	}
	return nil
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
			v.replace(old, next)
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
	v.replace(old, f)
}

// replace puts a field in the place of an old one, or at the end if there is none.
func (v *Value) replace(old, f *Field) {
	for i := range v.Fields {
		if v.Fields[i] == old {
			v.Fields[i] = f
			return
		}
	}
	v.Fields = append(v.Fields, f)
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
