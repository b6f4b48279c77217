// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package draft

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// Reader reads the keys of an object, and remembers which keys it has read.
type Reader struct {
	b    *Bridge
	path string
	v    *tree.Value
	used map[string]bool
}

// Reader returns a reader of an object. path is the path of its keys in messages.
func (b *Bridge) Reader(path string, v *tree.Value) *Reader {
	if v == nil {
		v = &tree.Value{Kind: tree.Object}
	}
	return &Reader{b: b, path: path, v: v, used: map[string]bool{}}
}

// Key returns a key as messages show it.
func (r *Reader) Key(key string) string {
	if f := r.v.Get(key); f != nil && f.Shown != "" {
		return f.Shown
	}
	if r.path == "" || key == "" {
		return r.path + key
	}
	return r.path + "." + key
}

// Line returns the line of a key, or of the object if the key is missing.
func (r *Reader) Line(key string) int {
	if f := r.v.Get(key); f != nil {
		return f.Line
	}
	return r.v.Line
}

// Has reports whether the object has a key.
func (r *Reader) Has(key string) bool { return r.v.Get(key) != nil }

// field marks a key as read and returns its field, or nil.
func (r *Reader) field(key string) *tree.Field {
	r.used[key] = true
	return r.v.Get(key)
}

// outside matches the references in a value. The rest of the value may be a part of a password.
var outside = regexp.MustCompile(`[$](ENV)?\{[^}]*\}`)

// Text returns the text under a key. A value that the program takes from another place is left
// out, because its text is unknown.
func (r *Reader) Text(key string) (string, bool) {
	f := r.field(key)
	switch {
	case f == nil:
		return "", false
	case f.Value.Kind == tree.Reference:
		r.LeftOut(key, "the value %s is set outside the file; write the value into the manifest", strings.Join(outside.FindAllString(f.Value.Text, -1), ", "))
		return "", false
	case f.Value.Kind != tree.Text:
		r.b.Fail(f.Value.Line, f.Value.Column, "%s must be text", r.Key(key))
		return "", false
	}
	return f.Value.Text, true
}

// LeaveOutside leaves out the object if the value of one of the keys is set outside the file, because
// without this value the object has another meaning. It reports whether it did.
func (r *Reader) LeaveOutside(keys ...string) bool {
	for _, key := range keys {
		f := r.v.Get(key)
		if f == nil {
			continue
		}
		for _, v := range append([]*tree.Value{f.Value}, f.Value.Items...) {
			if v.Kind == tree.Reference {
				r.LeftOut(key, "the value %s is set outside the file, so the whole entry is left out; write the rule into the manifest", v.Text)
				return true
			}
		}
	}
	return false
}

// Bool returns the boolean under a key.
func (r *Reader) Bool(key string) (value, ok bool) {
	text, ok := r.Text(key)
	if !ok {
		return false, false
	}
	switch strings.ToLower(text) {
	case "true", "1", "on", "yes":
		return true, true
	case "false", "0", "off", "no":
		return false, true
	}
	r.fail(key, "%s must be true or false, not %q", r.Key(key), text)
	return false, false
}

// Int returns the whole number under a key, which must be from lowest to highest.
func (r *Reader) Int(key string, lowest, highest int64) (int64, bool) {
	text, ok := r.Text(key)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < lowest || n > highest {
		r.fail(key, "%s must be a whole number from %d to %d, not %q", r.Key(key), lowest, highest, text)
		return 0, false
	}
	return n, true
}

// The units of durations that have none.
const (
	Milliseconds = "ms"
	Seconds      = "s"
)

// Seconds returns the duration under a key in whole seconds, rounded up with a finding. A number
// without a unit is in seconds.
func (r *Reader) Seconds(key string) (int64, bool) { return r.DurationIn(key, Seconds) }

// DurationIn returns the duration under a key in whole seconds, rounded up with a finding. A number
// without a unit is in this unit.
func (r *Reader) DurationIn(key, unit string) (int64, bool) {
	text, ok := r.Text(key)
	if !ok {
		return 0, false
	}
	if text != "" && strings.Trim(text, "0123456789") == "" {
		text += unit
	}
	milliseconds, ok := parseMilliseconds(text)
	seconds := (milliseconds + 999) / 1000
	switch {
	case !ok:
		r.fail(key, "%s must be a time such as 60s or 5m, not %q", r.Key(key), text)
	case seconds*1000 != milliseconds:
		r.Changed(key, "%s becomes %d seconds, because the bridge has whole seconds", text, seconds)
	}
	return seconds, ok
}

var (
	durationPart = regexp.MustCompile(`^(\d{1,10})(ms|s|m|h|d|w)?`)
	milliseconds = map[string]int64{"ms": 1, "s": 1000, "": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
)

// maxSeconds is the longest duration in seconds, the largest number of 32 bits.
const maxSeconds = 1<<32 - 1

func parseMilliseconds(text string) (int64, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	var sum int64
	for first := true; first || text != ""; first = false {
		m := durationPart.FindStringSubmatch(text)
		if m == nil {
			return 0, false
		}
		if m[2] == "" && (!first || m[0] != text) {
			return 0, false
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		if sum += n * milliseconds[m[2]]; sum > maxSeconds*1000 {
			return 0, false
		}
		text = text[len(m[0]):]
	}
	return sum, true
}

// Object returns a reader of the object under a key, or nil if there is none.
func (r *Reader) Object(key string) *Reader {
	f := r.field(key)
	if f == nil {
		return nil
	}
	if f.Value.Kind == tree.Text && f.Value.Text == "" { // an empty element in XML
		return r.b.Reader(r.Key(key), &tree.Value{Kind: tree.Object, Line: f.Line, Column: f.Column})
	}
	if f.Value.Kind != tree.Object {
		r.b.Fail(f.Value.Line, f.Value.Column, "%s must be an object in braces { }", r.Key(key))
		return nil
	}
	return r.b.Reader(r.Key(key), f.Value)
}

// Items returns the items of the list under a key, or the single value.
func (r *Reader) Items(key string) []*tree.Value {
	f := r.field(key)
	switch {
	case f == nil:
		return nil
	case f.Value.Kind == tree.List:
		return f.Value.Items
	}
	return []*tree.Value{f.Value}
}

// Skip marks keys as read that need no counterpart.
func (r *Reader) Skip(keys ...string) {
	for _, key := range keys {
		r.used[key] = true
	}
}

// fail records that the value of a key is invalid.
func (r *Reader) fail(key, format string, args ...any) {
	f := r.v.Get(key)
	r.b.Fail(f.Value.Line, f.Value.Column, format, args...)
}

// LeftOut adds a finding about a key.
func (r *Reader) LeftOut(key, format string, args ...any) {
	r.b.LeftOut(r.Line(key), r.Key(key), format, args...)
}

// Changed adds a finding about a key.
func (r *Reader) Changed(key, format string, args ...any) {
	r.b.Changed(r.Line(key), r.Key(key), format, args...)
}

// Note adds a finding about a key.
func (r *Reader) Note(key, format string, args ...any) {
	r.b.Note(r.Line(key), r.Key(key), format, args...)
}

// Rest leaves out all keys that have not been read, with the reason in reasons. A key that is not
// in reasons is unknown.
func (r *Reader) Rest(reasons map[string]string) {
	for _, f := range r.v.Fields {
		if r.used[f.Key] {
			continue
		}
		reason := reasons[f.Key]
		for pattern, text := range reasons {
			if prefix, ok := strings.CutSuffix(pattern, "*"); ok && reason == "" && strings.HasPrefix(f.Key, prefix) {
				reason = text
			}
		}
		if reason == "" {
			reason = "this key is unknown; check its spelling"
		}
		r.leave(r.Key(f.Key), f, reason)
	}
}

// leave leaves out a field, and each field in it.
func (r *Reader) leave(key string, f *tree.Field, reason string) {
	r.used[f.Key] = true
	if f.Value.Kind != tree.Object || len(f.Value.Fields) == 0 {
		r.b.LeftOut(f.Line, key, "%s", reason)
		return
	}
	for _, inner := range f.Value.Fields {
		shown := inner.Shown
		if shown == "" {
			shown = key + "." + inner.Key
		}
		r.leave(shown, inner, reason)
	}
}
