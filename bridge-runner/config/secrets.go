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
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// maxSecretBytes is the largest size of one key's value, in bytes. Kubernetes stores at most
// 1 MiB.
const maxSecretBytes = 1 << 20

const kindSecret = string(v1alpha1.CAKindSecret)

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

// login returns the user name and password from a Secret. It removes line ends at the end of
// a value and a byte order mark at its beginning, because files from which Secrets are made
// often have them. If the key username is missing, the user name is empty: Secrets of the type
// kubernetes.io/basic-auth that hold a token have no such key. A missing password is an error,
// because it is more likely a misspelt key than a login without password.
func (s Secrets) login(secret string) (username, password string, err error) {
	user, userErr := s.read(kindSecret, secret, manifest.KeyUsername)
	pass, passErr := s.read(kindSecret, secret, manifest.KeyPassword)
	switch {
	case userErr != nil && (passErr != nil || !errors.Is(userErr, os.ErrNotExist)):
		return "", "", userErr
	case passErr != nil:
		return "", "", passErr
	}
	return trimmed(user), trimmed(pass), nil
}

// Login returns the user name and password from a Secret. It returns an error if a CONNECT of
// the given MQTT version cannot carry them (section 3.1.3).
func (s Secrets) Login(secret string, version packet.Version) (username, password string, err error) {
	username, password, err = s.login(secret)
	if err != nil {
		return "", "", err
	}
	unusable := func(key, problem string) (string, string, error) {
		return "", "", &ReferenceError{kindSecret, secret, key, errors.New(problem)}
	}
	switch {
	case len(username) > math.MaxUint16:
		return unusable(manifest.KeyUsername, tooLong)
	case len(password) > math.MaxUint16:
		return unusable(manifest.KeyPassword, tooLong)
	case !utf8.ValidString(username) || strings.Contains(username, "\x00"): // [MQTT-1.5.3-1], [MQTT-1.5.3-2]
		return unusable(manifest.KeyUsername, "is not valid UTF-8, or contains a NUL character, which MQTT does not allow in a user name; correct it")
	case username == "" && password != "" && version == packet.V311: // [MQTT-3.1.2-22]
		return unusable(manifest.KeyUsername, "is empty or missing, but the key password is set; MQTT 3.1.1 does not allow a password without a user name: set the user name, or set protocolVersion: \"5\" on this side")
	}
	return username, password, nil
}

const tooLong = "has more than 65535 bytes, the largest length in MQTT; shorten it"

// tls returns the TLS configuration of a connection. The minimum version is TLS 1.2.
func (s Secrets) tls(t *TLS) (*tls.Config, error) {
	out := &tls.Config{ServerName: t.ServerName, NextProtos: t.ALPN, MinVersion: tls.VersionTLS12}
	if t.CAName != "" {
		pool, err := s.pool(t.CAKind, t.CAName)
		if err != nil {
			return nil, err
		}
		out.RootCAs = pool
	}
	if t.CertSecret != "" {
		pair, err := s.keyPair(t.CertSecret)
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
