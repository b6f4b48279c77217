// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"strings"
	"testing"
	"time"
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

// The author of a manifest chooses these texts. A check of a proposed change may show them in its log.
func TestWriteText_ControlCharactersFromManifest_AreEscaped(t *testing.T) {
	const hostile = "x\x1b[2J\u202e"
	valid := strings.Replace(bridge(primary(nowhere), primary("mqtt://127.0.0.1:2")), "namespace: plant", `namespace: "x\x1b[2J\u202e"`, 1)
	for name, text := range map[string]string{
		"the name of a field":       strings.Replace(valid, "qos: 2", `"x\x1b[2J\u202e": 2`, 1),
		"the namespace of a bridge": valid,
		"a key that is there twice": strings.Replace(valid, "qos: 2", `"x\x1b[2J\u202e": 2, "x\x1b[2J\u202e": 3`, 1),
	} {
		got := render(t, run(t, Options{}, text))
		if strings.Contains(got, hostile) || !strings.Contains(got, `x\x1b[2J\u202e`) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Without a connection, CONNECT is not sent, so that the report must not say that the server does not answer it.
func TestWriteText_NoAnswerToConnect_IsNamedOnlyAfterAConnection(t *testing.T) {
	for _, c := range []struct {
		address string
		named   bool
	}{{"", false}, {"192.0.2.1:1883", true}} {
		s := Server{Name: "primary", ClientID: "id", ProtocolVersion: "5", Message: "x", Address: c.address}
		text := render(t, &Report{Bridges: []Bridge{{File: "b.yaml", Valid: true, Servers: []Server{s}}}})
		if strings.Contains(text, "no answer to CONNECT") != c.named {
			t.Errorf("address %q: %s", c.address, text)
		}
	}
}

func TestWriteText_UnusualCertificate_IsShownShort(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := Server{Name: "primary", ClientID: "id", TLS: &TLS{
		Subject: strings.Repeat("CN=x,", 50_000),
		Expires: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 section 4.1.2.5: no well-defined end
	}}
	r := Report{Bridges: []Bridge{{File: "b.yaml", Valid: true, Servers: []Server{s}}}}
	var out bytes.Buffer
	if err := r.WriteText(&out, now); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); len(got) > 10_000 || !strings.Contains(got, "9999-12-31, in 2912442 days") {
		t.Errorf("%.6000s", got)
	}
}
