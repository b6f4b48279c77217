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

// Limits, as in the schema. maxSecretValue limits a value in a Secret, in bytes: servers
// accept request headers of 8 to 64 KB in total.
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
			errs = append(errs, field.Invalid(headers, h.Name, "two headers have the same name (upper and lower case are not distinguished); keep one of them"))
		} else {
			names = append(names, name)
		}
	}
	return append(errs, validateValueSource(w.QueryFrom, path.Child("queryFrom"))...)
}

// validateHeader checks a header. Its errors do not show the value, which may be a secret.
func validateHeader(h *v1alpha1.Header, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	name, value := path.Child("name"), path.Child("value")
	switch {
	case h.Name == "":
		errs = append(errs, field.Required(name, "a header needs a name; set name, for example to Authorization"))
	case len(h.Name) > maxHeaderName:
		errs = append(errs, field.TooLong(name, h.Name, maxHeaderName))
	case !headerName.MatchString(h.Name):
		errs = append(errs, field.Invalid(name, h.Name, "the name of a header must consist of letters, digits and the characters ! # $ % & * + - . ^ _ | ~, as in x-api-key"))
	case ownHeader.MatchString(h.Name):
		errs = append(errs, field.Invalid(name, h.Name, "the headers that control the HTTP connection, such as Host, Upgrade, Connection, Content-Length and Sec-WebSocket-*, cannot be set; remove this header"))
	}
	switch {
	case (h.Value != "") == (h.ValueFrom != nil):
		errs = append(errs, field.Invalid(path, h.Name, "a header needs either value or valueFrom; set exactly one of them"))
	case longer(h.Value, maxHeaderValue):
		errs = append(errs, field.TooLong(value, v1alpha1.MaskedSecret, maxHeaderValue))
	case hasControls(h.Value):
		errs = append(errs, field.Invalid(value, v1alpha1.MaskedSecret, "the value of a header must not contain control characters, such as line ends; remove them"))
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
		errs = append(errs, field.Required(ref.Child("key"), "the reference needs the key of the Secret that holds the value; set key"))
	case len(key) > maxReference || !secretKey.MatchString(key) || key == "." || strings.HasPrefix(key, ".."): // the key is a file name
		errs = append(errs, field.Invalid(ref.Child("key"), key, "key must be a key of a Secret: letters, digits, '-', '_' and '.'; it must not be '.' or start with '..'"))
	}
	return errs
}

// request returns the path, including the query, and the header fields of the request that
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
		err = unusableValue(ref, "contains a line end or another control character, which is not allowed in a header; remove it")
	}
	return value, err
}

// query returns the query from a Secret, without the question mark that the value may begin
// with.
func (s Secrets) query(ref *v1alpha1.SecretKeyReference) (string, error) {
	value, err := s.value(ref)
	value = strings.TrimPrefix(value, "?")
	if err == nil && !query.MatchString(value) {
		err = unusableValue(ref, "contains a character that is not allowed in the query of a URL; write it in percent encoding, as in token=a%20b")
	}
	return value, err
}

// value returns the value of a Secret's key. It removes line ends at the end and a byte order
// mark at the beginning.
func (s Secrets) value(ref *v1alpha1.SecretKeyReference) (string, error) {
	data, err := s.read("Secret", ref.Name, ref.Key)
	if err != nil {
		return "", err
	}
	value := trimmed(data)
	switch {
	case strings.TrimSpace(value) == "":
		return "", unusableValue(ref, "is empty; set a value")
	case len(value) > maxSecretValue:
		return "", unusableValue(ref, fmt.Sprintf("has more than %d bytes, which servers do not accept in a request; shorten it", maxSecretValue))
	}
	return value, nil
}

func unusableValue(ref *v1alpha1.SecretKeyReference, problem string) error {
	return &ReferenceError{"Secret", ref.Name, ref.Key, errors.New(problem)}
}
