// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
)

// TestLog_FormatChanged_AppliesToTheFollowingLines also covers loggers that were derived before the
// change, as each part of the runner has one.
func TestLog_FormatChanged_AppliesToTheFollowingLines(t *testing.T) {
	var out bytes.Buffer
	log, control := NewLog(&out)
	derived := log.With("side", "remote")
	write := func() string {
		t.Helper()
		out.Reset()
		derived.Debug("a detail")
		derived.Info("connected", "server", "a \"b\"\n", "took", 1500*time.Millisecond, "error", errors.New("none"), "at", slog.LevelWarn, "names", []string{"a", "b"})
		FlushAsync(log, time.Minute)
		return out.String()
	}
	if line := write(); !strings.Contains(line, `level=INFO msg=connected side=remote server="a \"b\"\n" took=1.5s error=none at=WARN names="[a b]"`) || strings.Contains(line, "a detail") {
		t.Errorf("the first format is not text, or the first level is not info: %s", line)
	}
	control.Set(slog.LevelDebug, true)
	lines := strings.Split(strings.TrimSpace(write()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%q, want two lines", lines)
	}
	got := map[string]any{}
	if err := json.Unmarshal([]byte(lines[1]), &got); err != nil {
		t.Fatalf("%s: %v", lines[1], err)
	}
	if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
		t.Error(err)
	}
	delete(got, "time")
	want := map[string]any{"level": "INFO", "msg": "connected", "side": "remote", "server": "a \"b\"\n", "took": "1.5s", "error": "none", "at": "WARN", "names": []any{"a", "b"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	control.Set(slog.LevelWarn, false)
	if line := write(); line != "" {
		t.Errorf("the level warn has the line %s", line)
	}
}

// Servers choose texts that the log contains.
func TestLog_InvisibleCharacters_AreEscapedInBothFormats(t *testing.T) {
	const text = "\x1b[2J\u009b2J\u202egpj.exe\x7f\U000e0001 caf\u00e9"
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		log, control := NewLog(&out)
		control.Set(slog.LevelInfo, asJSON)
		log.Info("refused", "answer", text)
		FlushAsync(log, time.Minute)
		line := out.String()
		if i := strings.IndexFunc(strings.TrimSpace(line), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || !strings.Contains(line, "caf\u00e9") {
			t.Errorf("JSON %t: the line has an invisible character at %d, or not all others: %q", asJSON, i, line)
		}
		var got struct{ Answer string }
		if asJSON && (json.Unmarshal([]byte(line), &got) != nil || got.Answer != text) {
			t.Errorf("%s has the answer %q, want %q", line, got.Answer, text)
		}
	}
}
