// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// maxSecretBytes is the largest size of one key's value, in bytes. Kubernetes stores at most
// 1 MiB.
const maxSecretBytes = 1 << 20

// Secrets reads the referenced objects from a directory, in which the file [manifest.Reference.Path]
// holds the value of a key: <name>/<key> for a Secret, configMaps/<name>/<key> for a ConfigMap,
// and clusterTrustBundles/<name>/ca.crt for a ClusterTrustBundle. It reads them at each call, so
// a changed file takes effect at the next attempt to connect.
type Secrets struct {
	dir string
}

// NewSecrets returns the Secrets in dir. dir may be empty if the manifest refers to no object.
func NewSecrets(dir string) Secrets { return Secrets{dir} }

// ReferenceError reports a referenced Secret, ConfigMap or ClusterTrustBundle, or a key of it,
// that is missing or unusable.
type ReferenceError struct {
	manifest.Reference
	Problem error
}

func (e *ReferenceError) Error() string {
	missing := errors.Is(e.Problem, os.ErrNotExist)
	switch {
	case missing && e.Kind == manifest.KindClusterTrustBundle:
		return fmt.Sprintf("%s is missing, or the cluster does not support ClusterTrustBundleProjection (%s); create it, and the bridge connects without a restart", e.Object(), e.Field)
	case missing:
		return fmt.Sprintf("%s with key %q is missing (%s); create it, and the bridge connects without a restart", e.Object(), e.Key, e.Field)
	case e.Kind == manifest.KindClusterTrustBundle:
		return fmt.Sprintf("%s (%s): %v", e.Object(), e.Field, e.Problem)
	}
	return fmt.Sprintf("%s, key %q (%s): %v", e.Object(), e.Key, e.Field, e.Problem)
}

func (e *ReferenceError) Unwrap() error { return e.Problem }

// tls returns the TLS configuration of a connection. The minimum version is TLS 1.2.
func (s Secrets) tls(t *TLS) (*tls.Config, error) {
	out := &tls.Config{ServerName: t.ServerName, NextProtos: t.ALPN, MinVersion: tls.VersionTLS12}
	if !t.CA.IsZero() {
		pool, err := s.pool(t.CA)
		if err != nil {
			return nil, err
		}
		out.RootCAs = pool
	}
	if !t.Certificate.IsZero() {
		pair, err := s.keyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, err
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// read returns the value of a reference. The kubelet writes an empty file for a
// ClusterTrustBundle that is missing.
func (s Secrets) read(ref manifest.Reference) ([]byte, error) {
	path := filepath.Join(s.dir, ref.Path())
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxSecretBytes {
		err = fmt.Errorf("has more than %d bytes, the largest size in Kubernetes; shorten it", maxSecretBytes)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path) //nolint:gosec // name and key are validated and contain no slash
	}
	if err == nil && len(data) == 0 && ref.Kind == manifest.KindClusterTrustBundle {
		err = os.ErrNotExist
	}
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err // omit the path, which is inside the container and unknown to the user
		}
		return nil, &ReferenceError{ref, err}
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
