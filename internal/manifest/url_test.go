// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import "testing"

func TestParseURL_AllSchemes_ReturnsAddress(t *testing.T) {
	for url, want := range map[string]Address{
		"mqtt://h":                   {Host: "h", HostPort: "h:1883"},
		"tcp://h.example:1/":         {Host: "h.example", HostPort: "h.example:1"},
		"mqtts://h":                  {Host: "h", HostPort: "h:8883", TLS: true},
		"ssl://[::1]:8884":           {Host: "::1", HostPort: "[::1]:8884", TLS: true},
		"tls://10.0.0.1":             {Host: "10.0.0.1", HostPort: "10.0.0.1:8883", TLS: true},
		"ws://h":                     {Host: "h", HostPort: "h:80", WebSocket: true},
		"ws://h:9001/":               {Host: "h", HostPort: "h:9001", WebSocket: true, Path: "/"},
		"wss://h/mqtt?a=%20":         {Host: "h", HostPort: "h:443", TLS: true, WebSocket: true, Path: "/mqtt?a=%20"},
		"mqtts://h.example.":         {Host: "h.example", HostPort: "h.example.:8883", TLS: true},
		"wss://h.example.:8443/m?a.": {Host: "h.example", HostPort: "h.example.:8443", TLS: true, WebSocket: true, Path: "/m?a."},
		"mqtts://[fe80::1%25eth0]:1": {Host: "fe80::1", HostPort: "[fe80::1%eth0]:1", TLS: true},
		"mqtt://[fe80::1%eth0.5]":    {Host: "fe80::1", HostPort: "[fe80::1%eth0.5]:1883"},
		"ws://[fe80::1%252]/":        {Host: "fe80::1", HostPort: "[fe80::1%2]:80", WebSocket: true, Path: "/"},
		"wss://[::1]:1/a:2":          {Host: "::1", HostPort: "[::1]:1", TLS: true, WebSocket: true, Path: "/a:2"},
	} {
		if got, err := ParseURL(url); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", url, got, err, want)
		}
	}
}

func TestParseProxyURL_AllFormsOfHosts_ReturnsHostAndPort(t *testing.T) {
	for url, want := range map[string]string{
		"socks5://p:1080":                "p:1080",
		"http://p.example.:3128/":        "p.example.:3128",
		"http://[::1]:3128":              "[::1]:3128",
		"socks5://[fe80::1%25eth0]:1080": "[fe80::1%eth0]:1080",
		"http://[fe80::1%eth0.5]:3128":   "[fe80::1%eth0.5]:3128",
	} {
		if got, err := ParseProxyURL(url); err != nil || got.Host != want {
			t.Errorf("%s: %+v, %v, want %s", url, got, err, want)
		}
	}
}
