// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// TestLogFormat_Changed_AppliesToEachLineWithoutANewConnection also covers the lines of the process, such
// as the first one.
func TestLogFormat_Changed_AppliesToEachLineWithoutANewConnection(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Spec.Runner = &v1alpha1.Runner{LogFormat: v1alpha1.LogFormatJSON}
	l.connect()
	inJSON := l.runner.Log()
	messages := map[string]int{}
	for line := range strings.Lines(inJSON) {
		var record struct{ Time, Level, Msg, Side, Server string }
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Time == "" || record.Level == "" || record.Msg == "" {
			t.Errorf("the line is no record of JSON: %s(%v)", line, err)
		}
		messages[record.Msg]++
	}
	if messages["the runner starts"] != 1 || messages["connected"] != 2 {
		t.Errorf("%v", messages)
	}
	l.manifest.Spec.Runner = nil
	l.manifest.Spec.LocalToRemote = append(l.manifest.Spec.LocalToRemote, v1alpha1.Rule{Filter: "extra/#"})
	l.runner.Update(l.manifest)
	l.runner.WaitStatus(eventTimeout, "the change is applied", runs(l.manifest.Generation))
	l.runner.Terminate()
	inText := strings.TrimPrefix(l.runner.Log(), inJSON)
	for line := range strings.Lines(inText) {
		if !strings.Contains(line, " level=INFO msg=") {
			t.Errorf("the line is no text: %s", line)
		}
	}
	if !strings.Contains(inText, `msg="the changed manifest is applied"`) || strings.Contains(inText, "msg=connected") {
		t.Errorf("the lines after the change are\n%s", inText)
	}
}

func TestLogLevel_OfTwoRunners_AppliesToTheLinesOfTheGroup(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Spec.Runner = &v1alpha1.Runner{LogLevel: v1alpha1.LogLevelError}
	pair := l.startPair("primary")
	l.finish()
	for i, r := range pair.Runners {
		if log := r.Log(); strings.Contains(log, "level=INFO") || strings.Contains(log, "level=WARN") {
			t.Errorf("the log of runner %d has other levels than error:\n%s", i, log)
		}
	}
}
