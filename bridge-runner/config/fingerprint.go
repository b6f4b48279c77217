// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Connection identifies the settings of connections to the server, except for the values that a
// [Fingerprint] covers and the names of the keys that hold them. It is for comparisons only: it
// contains the values of headers, which may be secret.
func (s *Server) Connection() string {
	const fixed = 7
	parts := make([]string, 0, fixed+2*len(s.Headers))
	parts = append(parts, s.Address.HostPort, s.Address.Path, fmt.Sprint(s.Address.TLS, s.Address.WebSocket), s.TLS.ServerName, fmt.Sprintf("%q", s.TLS.ALPN), s.Proxy.Scheme, s.Proxy.HostPort)
	for _, h := range s.Headers {
		parts = append(parts, h.Name, h.Value)
	}
	return fmt.Sprintf("%q", parts)
}

// Fingerprint identifies the values that connections to a server take from Secrets and other
// objects, and the user names in the manifest. It is not safe for concurrent use.
type Fingerprint struct {
	secrets Secrets
	// literals are the user names in the manifest.
	literals []string
	// references name the other values. Some may be zero.
	references []manifest.Reference
	// files identify the files that value was computed from. The list is empty if value must be
	// computed again.
	files []os.FileInfo
	value string
}

// NewFingerprint returns the fingerprint of the values that [Transport] and [Secrets.Login] read
// for a server.
func NewFingerprint(s *Server, secrets Secrets) *Fingerprint {
	f := &Fingerprint{
		secrets:  secrets,
		literals: []string{s.Login.Username, s.Proxy.Login.Username},
		references: []manifest.Reference{
			s.Login.UsernameFrom, s.Login.Password, s.TLS.CA, s.TLS.Certificate, s.TLS.Key,
			s.Proxy.Login.UsernameFrom, s.Proxy.Login.Password, s.Query,
		},
	}
	for _, h := range s.Headers {
		f.references = append(f.references, h.From)
	}
	return f
}

// fingerprintKey makes fingerprints useless outside of this process.
var fingerprintKey = sync.OnceValue(func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // it never returns an error
	return key
})

// settleTime is the age of a change of a file from which the time of the change identifies it.
// Two changes within the resolution of the file system's clock have the same time.
const settleTime = 2 * time.Second

// Value returns the fingerprint of the present values. It differs between processes. It reads the
// files only if one of them has changed. If a value cannot be read, the error is of type
// *[ReferenceError].
func (f *Fingerprint) Value() (string, error) {
	files, settled := f.identify()
	if f.unchanged(files) {
		return f.value, nil
	}
	f.files = nil
	sum := hmac.New(sha256.New, fingerprintKey())
	add := func(value []byte) {
		_, _ = sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(value)))) // a hash returns no error
		_, _ = sum.Write(value)
	}
	for _, literal := range f.literals {
		add([]byte(literal))
	}
	for i, ref := range f.references {
		if ref.IsZero() {
			continue
		}
		value, err := f.secrets.read(ref)
		if err != nil {
			return "", err
		}
		add(binary.BigEndian.AppendUint64(nil, uint64(i)))
		add(value)
	}
	f.value = string(sum.Sum(nil))
	if settled {
		f.files = files
	}
	return f.value, nil
}

// identify returns the identities of the files, nil for a file that is missing. settled is false
// if a file has changed so recently that its identity may not show the next change.
func (f *Fingerprint) identify() (files []os.FileInfo, settled bool) {
	settled = true
	for _, ref := range f.references {
		if ref.IsZero() {
			continue
		}
		info, err := f.secrets.stat(ref)
		if err != nil {
			info = nil
		}
		settled = settled && info != nil && time.Since(info.ModTime()) > settleTime
		files = append(files, info)
	}
	return files, settled
}

// unchanged reports whether these are the files that the value was computed from.
func (f *Fingerprint) unchanged(files []os.FileInfo) bool {
	if len(f.files) != len(files) || f.value == "" {
		return false
	}
	for i, info := range files {
		if info == nil || !sameVersion(info, f.files[i]) {
			return false
		}
	}
	return true
}
