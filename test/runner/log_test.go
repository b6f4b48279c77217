// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// TestLogFormat_Changed_AppliesToEachLineWithoutANewConnection also covers the lines of the process, such
// as the first one.
func TestLogFormat_Changed_AppliesToEachLineWithoutANewConnection(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.manifest.Spec.Runner = &v1alpha1.Runner{LogFormat: v1alpha1.LogFormatJSON}
	l.connect()
	inJSON := l.runner.Log()
	messages := recordsIn(t, inJSON)
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

// recordsIn returns the number of the records with each message. Each line must be a record of JSON.
func recordsIn(t *testing.T, log string) map[string]int {
	t.Helper()
	messages := map[string]int{}
	for line := range strings.Lines(log) {
		var record struct{ Time, Level, Msg, Side, Server string }
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Time == "" || record.Level == "" || record.Msg == "" {
			t.Errorf("the line is no record of JSON: %s(%v)", line, err)
		}
		messages[record.Msg]++
	}
	return messages
}

// A collector of logs reads all lines of a process in one format.
func TestLogFormat_OfManyBridges_FlagAppliesToTheLinesOfTheProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := mqtttest.NewRaceHost(t)
	b := s.bridge("a")
	b.Spec.Runner = &v1alpha1.Runner{LogFormat: v1alpha1.LogFormatJSON}
	h.Put(b)
	h.PutText("broken.yaml", "kind: [")
	h.AddFlags("--log-format=json")
	h.Start()
	h.WaitConnected("a.yaml", eventTimeout)
	h.WaitFile("broken.yaml", eventTimeout, "refused", refusedWith("yaml"))
	h.Terminate()
	messages := recordsIn(t, h.Log())
	if messages["the runner starts"] != 1 || messages["connected"] != 2 || messages["the runner stops; all bridges stop at the same time"] != 1 {
		t.Errorf("%v", messages)
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
