// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The keys of referenced Secrets and ConfigMaps.
const (
	KeyUsername = "username"
	KeyPassword = "password"
	KeyCA       = "ca.crt"
	KeyCert     = "tls.crt"
	KeyKey      = "tls.key"
)

// maxSecretBytes bounds what is read of one key: Kubernetes stores 1 MiB at most.
const maxSecretBytes = 1 << 20

// Secrets reads referenced Secrets and ConfigMaps from a directory, where
// <name>/<key> holds the value of a key. They are read at each call, so a changed
// file takes effect with the next connection.
type Secrets struct {
	dir string
}

// NewSecrets returns the secrets in dir. dir may be empty where the manifest
// refers to none.
func NewSecrets(dir string) Secrets { return Secrets{dir} }

// ReferenceError is a referenced Secret or ConfigMap that is missing or cannot be
// used.
type ReferenceError struct {
	Kind, Name, Key string
	Problem         error
}

func (e *ReferenceError) Error() string {
	if errors.Is(e.Problem, os.ErrNotExist) {
		return fmt.Sprintf("%s %q with key %q is missing; create it, the bridge then connects by itself", e.Kind, e.Name, e.Key)
	}
	return fmt.Sprintf("%s %q, key %q: %v", e.Kind, e.Name, e.Key, e.Problem)
}

func (e *ReferenceError) Unwrap() error { return e.Problem }

// Credentials returns the user name and password that c names. Line ends at the end of
// a value, and a byte order mark at its beginning, are not part of it: files that Secrets
// are made of often have them. The key username may be missing, as in Secrets of the type
// kubernetes.io/basic-auth that hold a token; its value is empty then. A missing password
// is more likely a mistake, such as another key's name, than a login without one.
func (s Secrets) Credentials(c *v1alpha1.Credentials) (username, password string, err error) {
	user, noUser := s.read("Secret", c.SecretRef.Name, KeyUsername)
	pass, noPass := s.read("Secret", c.SecretRef.Name, KeyPassword)
	switch {
	case noUser != nil && (noPass != nil || !errors.Is(noUser, os.ErrNotExist)):
		return "", "", noUser
	case noPass != nil:
		return "", "", noPass
	}
	return trimmed(user), trimmed(pass), nil
}

// Login returns the user name and password that c names, if a CONNECT of that version of
// MQTT can have them (section 3.1.3).
func (s Secrets) Login(c *v1alpha1.Credentials, version v1alpha1.ProtocolVersion) (username, password string, err error) {
	username, password, err = s.Credentials(c)
	if err != nil {
		return "", "", err
	}
	unfit := func(key, problem string) (string, string, error) {
		return "", "", &ReferenceError{"Secret", c.SecretRef.Name, key, errors.New(problem)}
	}
	switch {
	case len(username) > math.MaxUint16:
		return unfit(KeyUsername, tooLong)
	case len(password) > math.MaxUint16:
		return unfit(KeyPassword, tooLong)
	case !utf8.ValidString(username) || strings.Contains(username, "\x00"): // [MQTT-1.5.3-1], [MQTT-1.5.3-2]
		return unfit(KeyUsername, "is not text in UTF-8, as MQTT wants a user name to be; encode it as UTF-8")
	case username == "" && password != "" && version == v1alpha1.ProtocolVersion311: // [MQTT-3.1.2-22]
		return unfit(KeyUsername, "is empty or missing, while the key password is set: MQTT 3.1.1 has no password without a user name; set the user name, or protocolVersion: \"5\" on this side")
	}
	return username, password, nil
}

const tooLong = "has more than 65535 bytes, which MQTT cannot send; shorten it"

// TLS returns the TLS configuration for a server at host. t may be nil. Versions
// before TLS 1.2 are refused.
func (s Secrets) TLS(t *v1alpha1.TLS, host string) (*tls.Config, error) {
	out := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if t == nil {
		return out, nil
	}
	out.NextProtos = t.ALPN
	if t.ServerName != "" {
		out.ServerName = strings.TrimSuffix(t.ServerName, ".")
	}
	if ref := t.CARef; ref != nil {
		pool, err := s.pool(string(ref.Kind), ref.Name)
		if err != nil {
			return nil, err
		}
		out.RootCAs = pool
	}
	if ref := t.CertSecretRef; ref != nil {
		pair, err := s.keyPair(ref.Name)
		if err != nil {
			return nil, err
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

func (s Secrets) read(kind, name, key string) ([]byte, error) {
	path := filepath.Join(s.dir, name, key)
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxSecretBytes {
		err = fmt.Errorf("has more than %d bytes", maxSecretBytes)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path) //nolint:gosec // name and key are validated and hold no slash
	}
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err // the path is the container's, not the user's
		}
		return nil, &ReferenceError{kind, name, key, err}
	}
	return data, nil
}

// trimmed returns a value as text, without a byte order mark and line ends at its end.
func trimmed(b []byte) string {
	b = bytes.TrimPrefix(b, []byte("\uFEFF"))
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return string(b)
}
