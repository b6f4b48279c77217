// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package printable makes texts that others have chosen safe for lines on a terminal and in messages. Servers choose
// the names in their certificates and the words of their answers, and authors of manifests the names of
// fields and bridges.
package printable

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns a text with escapes in place of the characters that are invisible, apart from the space, and of the
// bytes that are not UTF-8: they may control a terminal, begin a line, or change the direction of the text.
func Text(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, isInvisible) {
		return text
	}
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case isInvisible(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

func isInvisible(r rune) bool { return !unicode.IsPrint(r) }

// Short returns a text of at most limit bytes as [Text] does. A longer text ends with "...", and is not cut within a
// character.
func Short(text string, limit int) string {
	if len(text) > limit {
		text = Cut(text, limit) + "..."
	}
	return Text(text)
}

// Cut returns the beginning of a text, of at most limit bytes. It is not cut within a character. Like each part of a
// string, it keeps the whole text in memory.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > 0 && limit-end < utf8.UTFMax-1 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
