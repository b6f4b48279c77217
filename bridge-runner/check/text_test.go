// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"
)

// A server chooses these texts. They must not look like lines of the report, nor control the terminal.
func TestWriteText_ControlCharactersFromServer_AreEscaped(t *testing.T) {
	const hostile = "x\n\nremote server backup (mqtt://b): usable\x1b[2J\r\u202e\u009b"
	for name, s := range map[string]Server{
		"subject":                    {TLS: &TLS{Subject: hostile}},
		"issuer":                     {TLS: &TLS{Issuer: hostile}},
		"reason":                     {Message: hostile},
		"remark":                     {Remarks: []string{hostile}},
		"assigned client identifier": {Connack: &Connack{Limits: &Limits{AssignedClientID: hostile}}},
	} {
		s.Name, s.ClientID = "primary", "id"
		text := render(t, &Report{Bridges: []Bridge{{File: "b.yaml", Valid: true, Servers: []Server{s}}}})
		if strings.Contains(text, "\nremote server backup") || strings.ContainsAny(text, "\x1b\r\u202e\u009b") {
			t.Errorf("%s: the report has the characters of the server:\n%q", name, text)
		}
		if !strings.Contains(text, `x\n\nremote server backup (mqtt://b): usable\x1b[2J\r\u202e\u009b`) {
			t.Errorf("%s: the report has no escaped text:\n%q", name, text)
		}
	}
}
