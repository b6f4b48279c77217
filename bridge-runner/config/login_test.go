// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

func TestLogin_ValuesOfSecret_ReturnedOrRefusedWithReason(t *testing.T) {
	const (
		absent = "absent"
		v311   = packet.V311
		v5     = packet.V5
	)
	long := strings.Repeat("x", 1<<16)
	for name, c := range map[string]struct {
		version            packet.Version
		username, password string
		want               string // username and password, or the error
	}{
		"both":                          {v311, "me", "secret", "me/secret"},
		"line ends of files":            {v311, "me\n", "secret\r\n\n", "me/secret"},
		"byte order marks of editors":   {v311, "\uFEFFme\r\n", "\uFEFFsecret", "me/secret"},
		"other spaces are kept":         {v311, " me", "secret \t", " me/secret \t"},
		"no password":                   {v311, "me", "", "me/"},
		"no key password":               {v311, "me", absent, `Secret "login" with key "password" is missing (password field); create it, and the bridge uses it without a restart`},
		"nothing":                       {v311, "", "\n", "/"},
		"no user name, MQTT 5":          {v5, "", "token", "/token"},
		"no key username":               {v5, absent, "token", `Secret "login" with key "username" is missing (user field); create it, and the bridge uses it without a restart`},
		"no user name, MQTT 3.1.1":      {v311, "\n", "token", `Secret "login", key "username" (user field): is empty, but the password is not; MQTT 3.1.1 does not allow a password without a user name: set the user name, or set protocolVersion: "5" on this side`},
		"no keys":                       {v5, absent, absent, `Secret "login" with key "username" is missing (user field); create it, and the bridge uses it without a restart`},
		"a user name that is not UTF-8": {v5, "\xff", "p", `Secret "login", key "username" (user field): is not valid UTF-8, or contains a NUL character, which MQTT does not allow in a user name; correct it`},
		"a user name with NUL":          {v311, "a\x00b", "p", `Secret "login", key "username" (user field): is not valid UTF-8, or contains a NUL character, which MQTT does not allow in a user name; correct it`},
		"a password of any bytes":       {v311, "me", "\xff\x00", "me/\xff\x00"},
		"a user name of too many bytes": {v5, long, "p", `Secret "login", key "username" (user field): has more than 65535 bytes, the largest length in MQTT; shorten it`},
		"a password of too many bytes":  {v5, "me", long, `Secret "login", key "password" (password field): has more than 65535 bytes, the largest length in MQTT; shorten it`},
		"the longest password":          {v5, "me", long[1:], "me/" + long[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for key, value := range map[string]string{"username": c.username, "password": c.password} {
				if value != absent {
					write(t, dir, "login/"+key, value)
				}
			}
			username, password, err := NewSecrets(dir).Login(secretLogin(), c.version)
			got := username + "/" + password
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%.300q, want %.300q", got, c.want)
			}
		})
	}
}

func TestTransport_LoginOfProxy_ReturnedOrRefusedWithReason(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct{ scheme, username, password, want string }{
		"SOCKS5":                    {"socks5", "me", "secret\n", "me/secret"},
		"SOCKS5, a colon":           {"socks5", "a:b", "c", "a:b/c"},
		"SOCKS5, no user name":      {"socks5", "", "token", `Secret "login", key "username" (user field): is empty; SOCKS5 does not allow a login without a user name: set the user name`},
		"SOCKS5, no password":       {"socks5", "me", "", "me/"}, // some proxies accept it
		"SOCKS5, a long user name":  {"socks5", long, "p", `Secret "login", key "username" (user field): has more than 255 bytes, the largest length in SOCKS5; shorten it`},
		"SOCKS5, a long password":   {"socks5", "me", long, `Secret "login", key "password" (password field): has more than 255 bytes, the largest length in SOCKS5; shorten it`},
		"SOCKS5, the longest":       {"socks5", long[1:], long[1:], long[1:] + "/" + long[1:]},
		"HTTP":                      {"http", "me", long, "me/" + long},
		"HTTP, no user name":        {"http", "", "token", "/token"},
		"HTTP, no password":         {"http", "token", "", "token/"},
		"HTTP, a colon":             {"http", "me", "a:b", "me/a:b"},
		"HTTP, a colon in the user": {"http", "a:b", "c", `Secret "login", key "username" (user field): contains a colon, which is not allowed in the user name for an HTTP proxy; use another user name`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "login/username", c.username)
			write(t, dir, "login/password", c.password)
			proxy := Proxy{Scheme: c.scheme, HostPort: "p:1", Login: *secretLogin()}
			cfg, err := Transport(&Server{Proxy: proxy}, NewSecrets(dir))
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				password, _ := cfg.Proxy.User.Password()
				got = cfg.Proxy.User.Username() + "/" + password
			}
			if got != c.want {
				t.Errorf("%.300q, want %.300q", got, c.want)
			}
		})
	}
}

func TestLogin_SourcesOfValues_ReturnedAndNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/user", "me\n")
	write(t, dir, "a/word", "secret\n")
	write(t, dir, "b/word", "other")
	user, word, other := secretKey("a", "user", "f"), secretKey("a", "word", "f"), secretKey("b", "word", "f")
	for _, c := range []struct {
		login        Login
		want, source string
	}{
		{Login{}, "/", ""},
		{Login{UsernameFrom: user, Password: word}, "me/secret", `the Secret "a"`},
		{Login{UsernameFrom: user, Password: other}, "me/other", `the Secret "a" and the Secret "b"`},
		{Login{Username: "plant1", Password: other}, "plant1/other", `credentials.username and the Secret "b"`},
		{Login{Username: "plant1"}, "plant1/", "credentials.username"},
		{Login{UsernameFrom: user}, "me/", `the Secret "a"`},
		{Login{Password: word}, "/secret", `the Secret "a"`},
	} {
		username, password, err := NewSecrets(dir).Login(&c.login, packet.V5)
		if got := username + "/" + password; err != nil || got != c.want {
			t.Errorf("%+v: %q, %v; want %q", c.login, got, err, c.want)
		}
		if got := c.login.Source(); got != c.source {
			t.Errorf("%+v: the source is %q, want %q", c.login, got, c.source)
		}
	}
}
