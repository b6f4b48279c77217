// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Bounds as in the schema, and of a value in a Secret: servers take heads of 8 to 64 KB.
const (
	maxHeaders     = 16
	maxHeaderName  = 128
	maxHeaderValue = 1024
	maxSecretValue = 16 << 10
)

var (
	headerName = regexp.MustCompile(`^[-!#$%&*+.^_|~0-9A-Za-z]+$`)
	ownHeader  = regexp.MustCompile(`(?i)^(host|upgrade|connection|content-length|transfer-encoding|trailer|te|expect|keep-alive|sec-websocket-.*)$`)
	secretKey  = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)
	query      = regexp.MustCompile(`^(?:[-!$&'()*+,./0-9:;=?@A-Z_a-z~]|%[0-9A-Fa-f]{2})*$`)
)

func validateWebSocket(w *v1alpha1.WebSocket, path *field.Path) field.ErrorList {
	if w == nil {
		return nil
	}
	headers := path.Child("headers")
	errs := tooMany(headers, len(w.Headers), maxHeaders)
	var names []string
	for i := range w.Headers {
		h := &w.Headers[i]
		errs = append(errs, validateHeader(h, headers.Index(i))...)
		if name := strings.ToLower(h.Name); name != "" && slices.Contains(names, name) {
			errs = append(errs, field.Invalid(headers, h.Name, "two headers have the same name, in which upper and lower case are the same; keep one of them"))
		} else {
			names = append(names, name)
		}
	}
	return append(errs, validateValueSource(w.QueryFrom, path.Child("queryFrom"))...)
}

// validateHeader never shows a value, which may be a secret.
func validateHeader(h *v1alpha1.Header, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	name, value := path.Child("name"), path.Child("value")
	switch {
	case h.Name == "":
		errs = append(errs, field.Required(name, "every header needs a name, such as Authorization"))
	case len(h.Name) > maxHeaderName:
		errs = append(errs, field.TooLong(name, h.Name, maxHeaderName))
	case !headerName.MatchString(h.Name):
		errs = append(errs, field.Invalid(name, h.Name, "the name of a header consists of letters, digits and the characters ! # $ % & * + - . ^ _ | ~, as in x-api-key"))
	case ownHeader.MatchString(h.Name):
		errs = append(errs, field.Invalid(name, h.Name, "the bridge itself sets Host, Upgrade, Connection, Sec-WebSocket-* and the headers that frame a request; remove this one"))
	}
	switch {
	case (h.Value != "") == (h.ValueFrom != nil):
		errs = append(errs, field.Invalid(path, h.Name, "a header has either value or valueFrom; set one of them"))
	case longer(h.Value, maxHeaderValue):
		errs = append(errs, field.TooLong(value, v1alpha1.Masked, maxHeaderValue))
	case hasControls(h.Value):
		errs = append(errs, field.Invalid(value, v1alpha1.Masked, "the value of a header holds no control characters, such as line ends; remove them"))
	}
	return append(errs, validateValueSource(h.ValueFrom, path.Child("valueFrom"))...)
}

func validateValueSource(v *v1alpha1.ValueSource, path *field.Path) field.ErrorList {
	if v == nil {
		return nil
	}
	ref := path.Child("secretKeyRef")
	errs := validateReference(v.SecretKeyRef.Name, ref.Child("name"))
	switch key := v.SecretKeyRef.Key; {
	case key == "":
		errs = append(errs, field.Required(ref.Child("key"), "the reference needs the key of the Secret that holds the value"))
	case len(key) > maxReference || !secretKey.MatchString(key) || key == "." || strings.HasPrefix(key, ".."): // it is a file's name
		errs = append(errs, field.Invalid(ref.Child("key"), key, "key must be that of a Secret: letters, digits, '-', '_' and '.', and not '.' or '..' at its start"))
	}
	return errs
}

// request returns the path with its query, and the header fields, of the request that
// opens a WebSocket connection.
func (s Secrets) request(w *v1alpha1.WebSocket, path string) (string, http.Header, error) {
	header := http.Header{}
	for i := range w.Headers {
		h := &w.Headers[i]
		value := h.Value
		if h.ValueFrom != nil {
			var err error
			if value, err = s.headerValue(&h.ValueFrom.SecretKeyRef); err != nil {
				return "", nil, err
			}
		}
		header.Set(h.Name, value)
	}
	if w.QueryFrom == nil {
		return path, header, nil
	}
	added, err := s.query(&w.QueryFrom.SecretKeyRef)
	if err != nil {
		return "", nil, err
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
	return path + separator + added, header, nil
}

func (s Secrets) headerValue(ref *v1alpha1.SecretKeyReference) (string, error) {
	value, err := s.value(ref)
	if err == nil && strings.ContainsFunc(value, unicode.IsControl) {
		err = unusableValue(ref, "holds a line end or another control character inside, which a header cannot have; remove it")
	}
	return value, err
}

// query returns the query that a Secret holds, with or without a question mark in front
// of it.
func (s Secrets) query(ref *v1alpha1.SecretKeyReference) (string, error) {
	value, err := s.value(ref)
	value = strings.TrimPrefix(value, "?")
	if err == nil && !query.MatchString(value) {
		err = unusableValue(ref, "holds a character that the query of a URL cannot have; write it as %20 and so on, as in token=a%20b")
	}
	return value, err
}

// value returns the value of a Secret's key. Line ends at its end, and a byte order mark at
// its beginning, are not part of it.
func (s Secrets) value(ref *v1alpha1.SecretKeyReference) (string, error) {
	data, err := s.read("Secret", ref.Name, ref.Key)
	if err != nil {
		return "", err
	}
	value := trimmed(data)
	switch {
	case strings.TrimSpace(value) == "":
		return "", unusableValue(ref, "is empty")
	case len(value) > maxSecretValue:
		return "", unusableValue(ref, fmt.Sprintf("has more than %d bytes, which servers do not take in a request", maxSecretValue))
	}
	return value, nil
}

func unusableValue(ref *v1alpha1.SecretKeyReference, problem string) error {
	return &ReferenceError{"Secret", ref.Name, ref.Key, errors.New(problem)}
}
