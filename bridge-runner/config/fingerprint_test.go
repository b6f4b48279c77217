// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// secretFiles writes the files of Secrets, by name and key, into a new directory. All of them
// changed an hour ago.
func secretFiles(t *testing.T, values map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range values {
		writeSecret(t, dir, name, value, time.Now().Add(-time.Hour))
	}
	return dir
}

func writeSecret(t *testing.T, dir, name, value string, at time.Time) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func keyOf(name, key string) manifest.Reference {
	return manifest.Reference{Kind: manifest.KindSecret, Name: name, Key: key}
}

// secretServer returns a server that takes all of its values from the Secret s.
func secretServer() *Server {
	return &Server{
		Login: Login{UsernameFrom: keyOf("s", "user"), Password: keyOf("s", "password")},
		TLS:   TLS{CA: keyOf("s", "ca"), Certificate: keyOf("s", "cert"), Key: keyOf("s", "key")},
		Proxy: Proxy{Scheme: "http", HostPort: "proxy:1", Login: Login{Username: "me", Password: keyOf("s", "proxy")}},
		Query: keyOf("s", "query"), Headers: []Header{{Name: "x", From: keyOf("s", "header")}, {Name: "y", Value: "z"}},
	}
}

var secretKeys = []string{"user", "password", "ca", "cert", "key", "proxy", "query", "header"}

func secretValues() map[string]string {
	values := map[string]string{}
	for _, key := range secretKeys {
		values["s/"+key] = "value"
	}
	return values
}

func mustValue(t *testing.T, f *Fingerprint) string {
	t.Helper()
	value, err := f.Value()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestFingerprint_AnyValueChanges_Changes(t *testing.T) {
	dir := secretFiles(t, secretValues())
	f := NewFingerprint(secretServer(), NewSecrets(dir))
	seen := map[string]string{mustValue(t, f): "the first values"}
	for _, key := range secretKeys {
		writeSecret(t, dir, "s/"+key, "other", time.Now().Add(-time.Minute)) // of the same size
		value := mustValue(t, f)
		if before, ok := seen[value]; ok {
			t.Errorf("after a change of %s, the fingerprint is that after %s", key, before)
		}
		seen[value] = key
		if again := mustValue(t, f); again != value {
			t.Errorf("after a change of %s, the fingerprint changes twice", key)
		}
	}
}

func TestFingerprint_ChangesWithinOneTick_AreFound(t *testing.T) {
	dir, now := secretFiles(t, secretValues()), time.Now()
	f := NewFingerprint(secretServer(), NewSecrets(dir))
	writeSecret(t, dir, "s/password", "first", now)
	first := mustValue(t, f)
	writeSecret(t, dir, "s/password", "later", now)
	if mustValue(t, f) == first {
		t.Error("the fingerprint does not show the second change")
	}
}

func TestFingerprint_OtherReferenceWithSameValue_IsTheSame(t *testing.T) {
	values := secretValues()
	values["other/password"] = "value"
	secrets := NewSecrets(secretFiles(t, values))
	server := secretServer()
	before := mustValue(t, NewFingerprint(server, secrets))
	server.Login.Password = keyOf("other", "password")
	if mustValue(t, NewFingerprint(server, secrets)) != before {
		t.Error("it differs")
	}
	server.Login.Password, server.Login.UsernameFrom = manifest.Reference{}, keyOf("other", "password")
	if mustValue(t, NewFingerprint(server, secrets)) == before {
		t.Error("a user name without a password has the fingerprint of both")
	}
	server = secretServer()
	server.Proxy.Login.Username = "you"
	if mustValue(t, NewFingerprint(server, secrets)) == before {
		t.Error("another user name in the manifest has the same fingerprint")
	}
}

func TestFingerprint_MissingFile_ReturnsReferenceError(t *testing.T) {
	dir := secretFiles(t, secretValues())
	f := NewFingerprint(secretServer(), NewSecrets(dir))
	before := mustValue(t, f)
	if err := os.Remove(filepath.Join(dir, "s", "key")); err != nil {
		t.Fatal(err)
	}
	var missing *ReferenceError
	if _, err := f.Value(); !errors.As(err, &missing) || missing.Key != "key" {
		t.Errorf("%v", err)
	}
	writeSecret(t, dir, "s/key", "value", time.Now())
	if mustValue(t, f) != before {
		t.Error("the restored value has another fingerprint")
	}
}

func TestFingerprint_Value_ContainsNoSecret(t *testing.T) {
	f := NewFingerprint(secretServer(), NewSecrets(secretFiles(t, secretValues())))
	if value := mustValue(t, f); strings.Contains(value, "value") || len(value) != 32 {
		t.Errorf("%q", value)
	}
}

func TestConnection_Settings_DistinguishConnections(t *testing.T) {
	base := secretServer().Connection()
	for name, c := range map[string]struct {
		change func(*Server)
		same   bool
	}{
		"nothing":              {func(*Server) {}, true},
		"name":                 {func(s *Server) { s.Name = "other" }, true},
		"password":             {func(s *Server) { s.Login.Password = keyOf("other", "password") }, true},
		"CA":                   {func(s *Server) { s.TLS.CA = manifest.Reference{} }, true},
		"certificate":          {func(s *Server) { s.TLS.Certificate = keyOf("other", "cert") }, true},
		"proxy login":          {func(s *Server) { s.Proxy.Login.Username = "you" }, true},
		"key of a header":      {func(s *Server) { s.Headers[0].From.Key = "other" }, true},
		"address":              {func(s *Server) { s.Address.HostPort = "h:1" }, false},
		"path":                 {func(s *Server) { s.Address.Path = "/mqtt" }, false},
		"TLS":                  {func(s *Server) { s.Address.TLS = true }, false},
		"WebSocket":            {func(s *Server) { s.Address.WebSocket = true }, false},
		"serverName":           {func(s *Server) { s.TLS.ServerName = "n" }, false},
		"alpn":                 {func(s *Server) { s.TLS.ALPN = []string{"mqtt"} }, false},
		"proxy":                {func(s *Server) { s.Proxy.HostPort = "proxy:2" }, false},
		"scheme of the proxy":  {func(s *Server) { s.Proxy.Scheme = "socks5" }, false},
		"no proxy":             {func(s *Server) { s.Proxy = Proxy{} }, false},
		"name of a header":     {func(s *Server) { s.Headers[0].Name = "w" }, false},
		"value of a header":    {func(s *Server) { s.Headers[1].Value = "w" }, false},
		"another header":       {func(s *Server) { s.Headers = append(s.Headers, Header{Name: "w"}) }, false},
		"fewer headers":        {func(s *Server) { s.Headers = s.Headers[:1] }, false},
		"other order of names": {func(s *Server) { s.Headers[1] = Header{Name: "z", Value: "y"} }, false},
	} {
		server := secretServer()
		c.change(server)
		if same := server.Connection() == base; same != c.same {
			t.Errorf("with another %s, the connection is the same: %t, want %t", name, same, c.same)
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "s"), 0o700); err != nil {
		b.Fatal(err)
	}
	for name, value := range secretValues() {
		path, at := filepath.Join(dir, name), time.Now().Add(-time.Hour)
		if err := errors.Join(os.WriteFile(path, []byte(value), 0o600), os.Chtimes(path, at, at)); err != nil {
			b.Fatal(err)
		}
	}
	f := NewFingerprint(secretServer(), NewSecrets(dir))
	for b.Loop() {
		if _, err := f.Value(); err != nil {
			b.Fatal(err)
		}
	}
}
