// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/check"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/explain"
)

const commandManifest = `apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: b}
spec:
  local: {primary: {url: "mqtt://127.0.0.1:1"}}
  remote: {primary: {url: "mqtt://127.0.0.1:2"}}
  localToRemote: [{filter: "up/#", topic: "plant1/${topic}"}]
`

// commandFile writes a manifest to a file.
func commandFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "b.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCheck_Arguments_DecideExitStatus(t *testing.T) {
	valid, invalid := commandFile(t, commandManifest), commandFile(t, strings.Replace(commandManifest, "up/#", "up#", 1))
	other := commandFile(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-f", valid}, Done, valid + ":1: the manifest of b is valid"},
		{[]string{"-f", "-"}, Done, "-:1: the manifest of b is valid"},
		{[]string{"--help"}, Done, "usage: bridge-runner check"},
		{[]string{"-f", valid, "-f", invalid}, Failed, invalid + `:7: spec.localToRemote[0].filter: Invalid value: "up#"`},
		{[]string{"-f", "missing.yaml"}, Failed, "missing.yaml"},
		{[]string{"-f", other}, Failed, other + ": the file has no MQTTBridge: it has only objects of other APIs: ConfigMap (v1); name a file with a manifest of kind MQTTBridge\n"},
		{[]string{"-f", commandFile(t, "# nothing\n")}, Failed, ": the file has no MQTTBridge: it is empty; name a file with a manifest of kind MQTTBridge\n"},
		{[]string{"-f", valid, "--connect"}, Partly, "ConnectionRefused"},
		{nil, Usage, "-f is required"},
		{[]string{"-f", valid, "other.yaml"}, Usage, `"other.yaml"`},
		{[]string{"-f", valid, "-o", "xml"}, Usage, `"xml"`},
		{[]string{"-f", valid, "--publish", "a"}, Usage, "need --connect"},
		{[]string{"-f", valid, "--client-id", "a"}, Usage, "need --connect"},
		{[]string{"-f", valid, "--connect", "--publish", "a/#"}, Usage, `"a/#"`},
		{[]string{"--unknown"}, Usage, "unknown"},
	} {
		var out, fault bytes.Buffer
		code := RunCheck(t.Context(), c.args, strings.NewReader(commandManifest), &out, &fault)
		if got := out.String() + fault.String(); code != c.code || !strings.Contains(got, c.want) {
			t.Errorf("%q: status %d, want %d and %s\n%s", c.args, code, c.code, c.want, got)
		}
	}
}

// The help goes to the standard output, and a message about wrong arguments is not followed by the whole help,
// which would hide it.
func TestCommands_HelpOrWrongArguments_ArePrinted(t *testing.T) {
	run := map[string]func(args []string, out, fault *bytes.Buffer) int{
		"check":   func(args []string, out, fault *bytes.Buffer) int { return RunCheck(t.Context(), args, nil, out, fault) },
		"explain": func(args []string, out, fault *bytes.Buffer) int { return RunExplain(args, nil, out, fault) },
		"import":  func(args []string, out, fault *bytes.Buffer) int { return RunImport(args, nil, out, fault) },
	}
	for name, command := range run {
		var out, fault bytes.Buffer
		if status := command([]string{"-h"}, &out, &fault); status != Done || fault.Len() > 0 || !strings.HasPrefix(out.String(), "usage: bridge-runner "+name) || !strings.Contains(out.String(), "\nExit status: ") {
			t.Errorf("%s -h: status %d, %s%s", name, status, &out, &fault)
		}
		hint := "\n\"bridge-runner " + name + " -h\" describes the command.\n"
		for args, want := range map[string]string{
			"--unknown": "flag provided but not defined: --unknown", "-o": "flag needs an argument: -o", "--secrets": "", "": "",
		} {
			out.Reset()
			fault.Reset()
			if status := command(strings.Fields(args), &out, &fault); status != Usage || out.Len() > 0 || !strings.HasPrefix(fault.String(), "bridge-runner "+name+": "+want) || !strings.HasSuffix(fault.String(), hint) || strings.Count(fault.String(), "\n") != 2 {
				t.Errorf("%s %s: status %d, %s%s", name, args, status, &out, &fault)
			}
		}
	}
}

func TestCheck_JSON_HasResult(t *testing.T) {
	var out, fault bytes.Buffer
	code := RunCheck(t.Context(), []string{"-f", "-", "-o", "json", "--connect"}, strings.NewReader(commandManifest), &out, &fault)
	var report check.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || fault.Len() > 0 {
		t.Fatalf("%v: %s%s", err, &out, &fault)
	}
	if code != Partly || report.Result != check.ServerUnusable || len(report.Bridges) != 1 || len(report.Bridges[0].Servers) != 2 {
		t.Errorf("status %d, %s", code, &out)
	}
}

func TestExplain_Arguments_DecideExitStatus(t *testing.T) {
	valid, invalid := commandFile(t, commandManifest), commandFile(t, strings.Replace(commandManifest, "up/#", "up#", 1))
	other := commandFile(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-f", valid, "up/a"}, Done, `publishes "plant1/up/a" at QoS 1`},
		{[]string{"-f", "-", "up/a", "--qos", "0", "--retain"}, Done, `publishes "plant1/up/a" at QoS 0, retained`},
		{[]string{"-f", valid, "--", "-x"}, Done, `"-x", published at QoS 2`},
		{[]string{"-h"}, Done, "usage: bridge-runner explain"},
		{[]string{"-f", invalid, "up/a"}, Failed, invalid + ":1 is invalid: spec.localToRemote[0].filter"},
		{[]string{"-f", "missing.yaml", "a"}, Failed, "missing.yaml"},
		{[]string{"-f", other, "a"}, Failed, other + ": the file has no MQTTBridge: it has only objects of other APIs: ConfigMap (v1); name a file with a manifest of kind MQTTBridge\n"},
		{[]string{"-f", commandFile(t, "# nothing\n"), "a"}, Failed, ": the file has no MQTTBridge: it is empty; name a file with a manifest of kind MQTTBridge\n"},
		{[]string{"up/a"}, Usage, "-f is required"},
		{[]string{"-f", valid}, Usage, "a TOPIC is required"},
		{[]string{"-f", valid, "up/#"}, Usage, `"up/#" is not the topic of a message`},
		{[]string{"-f", valid, "a", "--qos", "3"}, Usage, "--qos 3"},
		{[]string{"-f", valid, "a", "-o", "xml"}, Usage, `"xml"`},
		{[]string{"-f", valid, "a", "--unknown"}, Usage, "unknown"},
	} {
		var out, fault bytes.Buffer
		code := RunExplain(c.args, strings.NewReader(commandManifest), &out, &fault)
		if got := out.String() + fault.String(); code != c.code || !strings.Contains(got, c.want) {
			t.Errorf("%q: status %d, want %d and %s\n%s", c.args, code, c.code, c.want, got)
		}
	}
}

func TestExplain_SeveralBridgesAsJSON_ExplainsEach(t *testing.T) {
	var out, fault bytes.Buffer
	code := RunExplain([]string{"-f", "-", "-o", "json", "up/a", "b"}, strings.NewReader(commandManifest+"---\n"+commandManifest), &out, &fault)
	var report explain.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || code != Done {
		t.Fatalf("status %d, %v: %s%s", code, err, &out, &fault)
	}
	if len(report.Bridges) != 2 || len(report.Bridges[1].Messages) != 2 || !report.Bridges[1].Messages[0].Directions[0].Forwarded || report.Bridges[1].Messages[1].Directions[0].Forwarded {
		t.Errorf("%s", &out)
	}
}

func TestExplain_ControlCharactersFromManifest_AreEscaped(t *testing.T) {
	file := commandFile(t, strings.Replace(commandManifest, "spec:", "\"\\e[2J\": 1\nspec:", 1))
	var out, fault bytes.Buffer
	if status := RunExplain([]string{"-f", file, "a"}, nil, &out, &fault); status != Failed || strings.Contains(fault.String(), "\x1b") || !strings.Contains(fault.String(), `\x1b[2J`) {
		t.Errorf("exit status %d: %q", status, &fault)
	}
}

// endless is a text without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestCheck_InputThatIsNoFile_IsAnError(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{
		dir:        "bridge-runner check: " + dir + " is a directory; name each of its files\n",
		"-":        "bridge-runner check: the standard input has more than 67108864 bytes; name a smaller file\n",
		dir + "/x": "bridge-runner check: open " + dir + "/x: no such file or directory\n",
	} {
		var out, fault bytes.Buffer
		if status := RunCheck(t.Context(), []string{"-f", name}, endless{}, &out, &fault); status != Failed || fault.String() != want || out.Len() > 0 {
			t.Errorf("%s: exit status %d: %.300s%.300s\nwant %s", name, status, &out, &fault, want)
		}
	}
}

func TestExplain_OneOfTwoInputsIsInvalid_ExplainsTheOther(t *testing.T) {
	e := Explain{Program: "explainer", Form: formText}
	inputs := []Input{{"invalid", []byte(strings.Replace(commandManifest, "up/#", "up#", 1))}, {"valid", []byte(commandManifest)}}
	var out, fault bytes.Buffer
	if status := e.Run(inputs, []string{"up/a"}, &out, &fault); status != Failed || !strings.Contains(out.String(), `publishes "plant1/up/a"`) || !strings.Contains(fault.String(), "explainer explain: the manifest invalid:1 is invalid") {
		t.Errorf("exit status %d: %s%s", status, &out, &fault)
	}
}
