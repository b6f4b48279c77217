// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestCommands_InvisibleCharactersInFile_AreReplacedInErrors checks the messages about files that someone else wrote.
func TestCommands_InvisibleCharactersInFile_AreReplacedInErrors(t *testing.T) {
	files := []string{
		"bridges.mqtt.\x1b[2J = {",
		"bridges { mqtt { a\u202eb = \"\x1b]0;x\x07",
		"mqtt.bridges.b = 1\n\"x\\u202e\" = 1\nbridges.mqtt.b {server = \"mqtt-tcp://a:1\", \"k\\u202e\\n-: FAKE\" = 1}",
		"connection a\nnotification\x1b[2J b\u202e c\n",
		"connection \x1b[2J\naddress \x1b[2J:99999999\x9b2J\n",
		"apiVersion: mqttbridge.io/v1alpha1\nkind: MQTTBridge\nmetadata: {name: \"\\e[2J\"}\n\"\\e[2J\\u202e\": 1\n",
		"<hivemq><a\u202e b='\x1b[2J'></c>",
	}
	for _, file := range files {
		for _, from := range []string{"mosquitto", "nanomq", "emqx", "hivemq-edge"} {
			var out, fault bytes.Buffer
			RunImport([]string{"--from", from, "-"}, strings.NewReader(file), &out, &fault)
			checkPrintable(t, "import --from "+from, fault.String())
		}
		var out, fault bytes.Buffer
		RunExplain([]string{"-f", "-", "a"}, strings.NewReader(file), &out, &fault)
		checkPrintable(t, "explain", fault.String())
	}
}

func checkPrintable(t *testing.T, name, text string) {
	t.Helper()
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\x07\u202e") || strings.Contains(text, "\n-: FAKE") {
		t.Errorf("%s: the output %q has characters that control a terminal or forge a line", name, text)
	}
}
