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
	// namespace is the directory of the files in dir. It is empty for a process with one bridge.
	namespace string
	// ofUser is whether the user makes the files, and not the kubelet.
	ofUser bool
	// effect is the end of an error that names a file to create.
	effect string
}

// NewSecrets returns the Secrets in dir. If dir is empty, all objects are missing.
func NewSecrets(dir string) Secrets { return Secrets{dir: dir} }

// OfNamespace returns the Secrets of a process with many bridges: each namespace has a directory of its own.
func (s Secrets) OfNamespace(namespace string) Secrets {
	s.namespace = namespace
	return s
}

// OfUser returns the Secrets of a runner with errors that name the files, because the user makes them. The
// paths in a pod are unknown to the user.
func (s Secrets) OfUser() Secrets {
	s.ofUser, s.effect = true, ", and the bridge uses it without a restart"
	return s
}

// OfCheck returns the Secrets with errors that name the files. A runner may read the files from another place, or
// not run.
func (s Secrets) OfCheck() Secrets {
	s.ofUser, s.effect = true, ""
	return s
}

// file returns the path of the file with the value of a reference.
func (s Secrets) file(ref manifest.Reference) string {
	return filepath.Join(s.dir, s.namespace, ref.Path())
}

// ReferenceError reports a referenced Secret, ConfigMap or ClusterTrustBundle, or a key of it,
// that is missing or unusable.
type ReferenceError struct {
	manifest.Reference
	Problem error
	// remedy says how to create a missing object or key. It is empty if the object is to be created in the cluster.
	remedy string
}

func (e *ReferenceError) Error() string {
	missing := errors.Is(e.Problem, os.ErrNotExist)
	switch {
	case missing && e.remedy != "":
		return fmt.Sprintf("%s with key %q is missing (%s); %s", e.Object(), e.Key, e.Field, e.remedy)
	case missing && e.Kind == manifest.KindClusterTrustBundle:
		return fmt.Sprintf("%s is missing, or the cluster does not support ClusterTrustBundleProjection (%s); create it, and the bridge uses it without a restart", e.Object(), e.Field)
	case missing:
		return fmt.Sprintf("%s with key %q is missing (%s); create it, and the bridge uses it without a restart", e.Object(), e.Key, e.Field)
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
	path := s.file(ref)
	info, err := s.stat(ref)
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
		unreadable := errors.As(err, &pathErr)
		if unreadable {
			err = pathErr.Err // omit the path, which is inside the container and unknown to the user
		}
		failure := &ReferenceError{Reference: ref, Problem: err}
		switch {
		case !s.ofUser:
		case errors.Is(err, os.ErrNotExist) && s.dir == "":
			failure.remedy = fmt.Sprintf("create the file %s in a directory, and name this directory by --secrets", path)
		case errors.Is(err, os.ErrNotExist):
			failure.remedy = fmt.Sprintf("create the file %s%s", path, s.effect)
		case unreadable:
			failure.Problem = fmt.Errorf("the file %s: %w; make it a file that this process can read", path, err)
		default:
			failure.Problem = fmt.Errorf("the file %s %w", path, err)
		}
		return nil, failure
	}
	return data, nil
}

// stat describes the file with the value of a reference.
func (s Secrets) stat(ref manifest.Reference) (os.FileInfo, error) {
	if s.dir == "" { // otherwise it would read files of the working directory
		return nil, os.ErrNotExist
	}
	return os.Stat(s.file(ref))
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
