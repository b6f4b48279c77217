// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// maxSecretValue limits a value in a Secret, in bytes: servers accept request headers of 8 to
// 64 KB in total.
const maxSecretValue = 16 << 10

var query = regexp.MustCompile(`^(?:[-!$&'()*+,./0-9:;=?@A-Z_a-z~]|%[0-9A-Fa-f]{2})*$`)

// header returns the header fields of the request that opens a WebSocket connection.
func (s Secrets) header(fields []Header) (http.Header, error) {
	header := http.Header{}
	for i := range fields {
		h := &fields[i]
		value := h.Value
		if !h.From.IsZero() {
			var err error
			if value, err = s.headerValue(h.From); err != nil {
				return nil, err
			}
		}
		header.Set(h.Name, value)
	}
	return header, nil
}

// path adds the query in a Secret to the path and query of a URL.
func (s Secrets) path(path string, from manifest.Reference) (string, error) {
	added, err := s.query(from)
	if err != nil {
		return "", err
	}
	if path == "" {
		path = "/"
	}
	separator := "?"
	if _, own, ok := strings.Cut(path, "?"); ok {
		separator = "&"
		if own == "" || strings.HasSuffix(own, "&") {
			separator = ""
		}
	}
	return path + separator + added, nil
}

func (s Secrets) headerValue(from manifest.Reference) (string, error) {
	value, err := s.value(from)
	if err == nil && strings.ContainsFunc(value, unicode.IsControl) {
		err = unusableValue(from, "contains a line end or another control character, which is not allowed in a header; remove it")
	}
	return value, err
}

// query returns the query from a Secret, without the question mark that the value may begin
// with.
func (s Secrets) query(from manifest.Reference) (string, error) {
	value, err := s.value(from)
	value = strings.TrimPrefix(value, "?")
	if err == nil && !query.MatchString(value) {
		err = unusableValue(from, "contains a character that is not allowed in the query of a URL; write it in percent encoding, as in token=a%20b")
	}
	return value, err
}

// value returns the value of a Secret's key. It removes line ends at the end and a byte order
// mark at the beginning.
func (s Secrets) value(from manifest.Reference) (string, error) {
	data, err := s.read(from)
	if err != nil {
		return "", err
	}
	value := trimmed(data)
	switch {
	case strings.TrimSpace(value) == "":
		return "", unusableValue(from, "is empty; set a value")
	case len(value) > maxSecretValue:
		return "", unusableValue(from, fmt.Sprintf("has more than %d bytes, which servers do not accept in a request; shorten it", maxSecretValue))
	}
	return value, nil
}

func unusableValue(from manifest.Reference, problem string) error {
	return &ReferenceError{Reference: from, Problem: errors.New(problem)}
}
