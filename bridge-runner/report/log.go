// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"unicode"
	"unicode/utf16"
)

// LogControl changes the level and the format of a log that is in use. The log of a zero LogControl
// has the level info and the format text.
type LogControl struct {
	level slog.LevelVar
	json  atomic.Bool
}

// Set sets the lowest level of the following lines, and their format: JSON or text.
func (c *LogControl) Set(level slog.Level, json bool) {
	c.level.Set(level)
	c.json.Store(json)
}

// NewLog returns a log that writes to w without blocking, see [Async], and its control.
func NewLog(w io.Writer) (*slog.Logger, *LogControl) {
	c := &LogControl{}
	return Async(slog.New(&formatHandler{
		control: c,
		text:    slog.NewTextHandler(w, nil),
		json:    slog.NewJSONHandler(visibleJSON{w}, &slog.HandlerOptions{ReplaceAttr: readable}),
	})), c
}

// formatHandler is a [slog.Handler] that writes each record in the format of its control. Both handlers
// have the same attributes and groups, because the format can change at any time.
type formatHandler struct {
	control    *LogControl
	text, json slog.Handler
}

func (h *formatHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.control.level.Level()
}

func (h *formatHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.control.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

func (h *formatHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &formatHandler{h.control, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

func (h *formatHandler) WithGroup(name string) slog.Handler {
	return &formatHandler{h.control, h.text.WithGroup(name), h.json.WithGroup(name)}
}

// visibleJSON escapes the characters in JSON that are invisible and that an encoder does not escape: they
// may control a terminal, or change the direction of the text. Programs read the same values.
type visibleJSON struct{ w io.Writer }

func (v visibleJSON) Write(line []byte) (int, error) {
	if !bytes.ContainsFunc(line, isInvisible) {
		return v.w.Write(line)
	}
	var escaped bytes.Buffer
	for _, r := range string(line) {
		if !isInvisible(r) {
			escaped.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&escaped, `\u%04x`, unit)
		}
	}
	if _, err := v.w.Write(escaped.Bytes()); err != nil {
		return 0, err
	}
	return len(line), nil
}

// isInvisible reports whether a character outside ASCII, or DEL, is invisible. JSON escapes the others.
func isInvisible(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }

// readable replaces values that JSON would write as bare numbers, such as durations in nanoseconds, by
// their text, so that both formats have the same values.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		if s, ok := a.Value.Any().(fmt.Stringer); ok {
			a.Value = slog.StringValue(s.String())
		}
	default:
	}
	return a
}
