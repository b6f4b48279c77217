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

// The keys in referenced Secrets and ConfigMaps.
const (
	KeyUsername = "username"
	KeyPassword = "password"
	KeyCA       = "ca.crt"
	KeyCert     = "tls.crt"
	KeyKey      = "tls.key"
)

// maxSecretBytes is the largest size of one key's value, in bytes. Kubernetes stores at most
// 1 MiB.
const maxSecretBytes = 1 << 20

// Secrets reads referenced Secrets and ConfigMaps from a directory, in which the file
// <name>/<key> holds the value of a key. It reads them at each call, so a changed file takes
// effect at the next attempt to connect.
type Secrets struct {
	dir string
}

// NewSecrets returns the Secrets in dir. dir may be empty if the manifest refers to no
// Secret or ConfigMap.
func NewSecrets(dir string) Secrets { return Secrets{dir} }

// ReferenceError reports a referenced Secret or ConfigMap that is missing or unusable.
type ReferenceError struct {
	Kind, Name, Key string
	Problem         error
}

func (e *ReferenceError) Error() string {
	if errors.Is(e.Problem, os.ErrNotExist) {
		return fmt.Sprintf("%s %q with key %q is missing; create it, and the bridge connects without a restart", e.Kind, e.Name, e.Key)
	}
	return fmt.Sprintf("%s %q, key %q: %v", e.Kind, e.Name, e.Key, e.Problem)
}

func (e *ReferenceError) Unwrap() error { return e.Problem }

// Credentials returns the user name and password from the Secret that c names. It removes
// line ends at the end of a value and a byte order mark at its beginning, because files from
// which Secrets are made often have them. If the key username is missing, the user name is
// empty: Secrets of the type kubernetes.io/basic-auth that hold a token have no such key. A
// missing password is an error, because it is more likely a misspelt key than a login without
// password.
func (s Secrets) Credentials(c *v1alpha1.Credentials) (username, password string, err error) {
	user, userErr := s.read("Secret", c.SecretRef.Name, KeyUsername)
	pass, passErr := s.read("Secret", c.SecretRef.Name, KeyPassword)
	switch {
	case userErr != nil && (passErr != nil || !errors.Is(userErr, os.ErrNotExist)):
		return "", "", userErr
	case passErr != nil:
		return "", "", passErr
	}
	return trimmed(user), trimmed(pass), nil
}

// Login returns the user name and password from the Secret that c names. It returns an error
// if a CONNECT of the given MQTT version cannot carry them (section 3.1.3).
func (s Secrets) Login(c *v1alpha1.Credentials, version v1alpha1.ProtocolVersion) (username, password string, err error) {
	username, password, err = s.Credentials(c)
	if err != nil {
		return "", "", err
	}
	unusable := func(key, problem string) (string, string, error) {
		return "", "", &ReferenceError{"Secret", c.SecretRef.Name, key, errors.New(problem)}
	}
	switch {
	case len(username) > math.MaxUint16:
		return unusable(KeyUsername, tooLong)
	case len(password) > math.MaxUint16:
		return unusable(KeyPassword, tooLong)
	case !utf8.ValidString(username) || strings.Contains(username, "\x00"): // [MQTT-1.5.3-1], [MQTT-1.5.3-2]
		return unusable(KeyUsername, "is not valid UTF-8, or contains a NUL character, which MQTT does not allow in a user name; correct it")
	case username == "" && password != "" && version == v1alpha1.ProtocolVersion311: // [MQTT-3.1.2-22]
		return unusable(KeyUsername, "is empty or missing, but the key password is set; MQTT 3.1.1 does not allow a password without a user name: set the user name, or set protocolVersion: \"5\" on this side")
	}
	return username, password, nil
}

const tooLong = "has more than 65535 bytes, the largest length in MQTT; shorten it"

// TLS returns the TLS configuration for a server at host. t may be nil. The minimum version is
// TLS 1.2.
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
		err = fmt.Errorf("has more than %d bytes, the largest size in Kubernetes; shorten it", maxSecretBytes)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path) //nolint:gosec // name and key are validated and contain no slash
	}
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err // omit the path, which is inside the container and unknown to the user
		}
		return nil, &ReferenceError{kind, name, key, err}
	}
	return data, nil
}

// trimmed returns a value without a byte order mark at its beginning and without line ends at
// its end.
func trimmed(b []byte) string {
	b = bytes.TrimPrefix(b, []byte("\uFEFF"))
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return string(b)
}
