// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package printable

import "testing"

func TestText_InvisibleCharacters_AreEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"CN=a b, \"ü\" \\n":        "CN=a b, \"ü\" \\n",
		"a\n\x1b[2Jb\r\x00":        `a\n\x1b[2Jb\r\x00`,
		"a\x9b2Jb\xff\ufffd":       "a\\x9b2Jb\\xff\ufffd",
		"\n\xc3(":                  `\n\xc3(`,
		"\u202e\u009b\u2028\ufeff": `\u202e\u009b\u2028\ufeff`,
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestShort_LongText_IsCut(t *testing.T) {
	for in, want := range map[string]string{"abcd": "abcd", "abcde": "abcd...", "abcüe": "abc...", "a\x9bcde": `a\x9bcd...`, "a\nbcd": `a\nbc...`} {
		if got := Short(in, 4); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
