// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"
	"testing"
)

func TestPublicURL_SecretsInAnyPart_AreMasked(t *testing.T) {
	for url, want := range map[string]string{
		"mqtt://h:1883":                      "mqtt://h:1883",
		"wss://h/mqtt":                       "wss://h/mqtt",
		"wss://h/mqtt?token=s3cr3t":          "wss://h/mqtt?...",
		"wss://h/mqtt?s3cr3t":                "wss://h/mqtt?...",
		"wss://h?sig=s3cr3t":                 "wss://h?...",
		"wss://h:443/a/b?x=1&sig=s3cr3t?y#z": "wss://h:443/a/b?...",
		"wss://h/mqtt#s3cr3t":                "wss://h/mqtt#...",
		"wss://[fe80::1%25eth0]/m?s3cr3t":    "wss://[fe80::1%25eth0]/m?...",
		"mqtt://me:s3cr3t@h:1883":            "mqtt://...@h:1883",
		"mqtt://me:s3@cr3t@h:1883":           "mqtt://...@h:1883",
		"mqtt://me:s3?cr3t@h:1883":           "mqtt://...",
		"wss://h/mqtt?user=me@s3cr3t":        "wss://...",
		"wss://me:s3cr3t@h/mqtt?token=s3":    "wss://...@h/mqtt?...",
		"me:s3cr3t@h":                        "...@h",
		"h/mqtt?token=s3cr3t":                "h/mqtt?...",
		"x?s3cr3t://h":                       "x?...",
		"https://h/x?s3cr3t":                 "https://h/x?...",
		"":                                   "",
	} {
		got := PublicURL(url)
		if got != want || strings.Contains(got, "s3") {
			t.Errorf("%q becomes %q, want %q", url, got, want)
		}
		if again := PublicURL(got); again != got {
			t.Errorf("%q becomes %q when masked again", got, again)
		}
	}
}

func TestForwardingAndSummary_URLsWithAQuery_AreMasked(t *testing.T) {
	const url = "wss://h/mqtt?token=s3cr3t"
	side := &SideStatus{
		Active:  &ActiveServer{Name: "primary", URL: url},
		Servers: []ServerStatus{{Name: "primary", URL: url, State: ServerActive}, {Name: "backup-1", URL: url, State: ServerFailed}},
	}
	for _, text := range []string{ReadyCondition(nil, side, side).Message, side.Summary()} {
		if strings.Contains(text, "s3cr3t") || !strings.Contains(text, "wss://h/mqtt?...") {
			t.Error(text)
		}
	}
}
