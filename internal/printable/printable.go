// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package printable makes texts that others have chosen safe for lines on a terminal and in messages. Servers choose
// the names in their certificates and the words of their answers, and authors of manifests the names of
// fields and bridges.
package printable

import (
	"strconv"
	"strings"
	"unicode"
)

// Text returns a text with escapes in place of the characters that are invisible, apart from the space: they may
// control a terminal, begin a line, or change the direction of the text.
func Text(text string) string {
	if !strings.ContainsFunc(text, isInvisible) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isInvisible(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isInvisible(r rune) bool { return !unicode.IsPrint(r) }

// Short returns a text of at most limit bytes as [Text] does. A longer text ends with "...".
func Short(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return Text(text)
}
