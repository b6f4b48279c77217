// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Limits, as in the schema.
const (
	maxHeaders     = 16
	maxHeaderName  = 128
	maxHeaderValue = 1024
)

var (
	headerName = regexp.MustCompile(`^[-!#$%&*+.^_|~0-9A-Za-z]+$`)
	ownHeader  = regexp.MustCompile(`(?i)^(host|upgrade|connection|content-length|transfer-encoding|trailer|te|expect|keep-alive|sec-websocket-.*)$`)
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
	return append(errs, validateRequiredKey(w.QueryFrom, path.Child("queryFrom"))...)
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
		shown := h.Name
		if end := strings.IndexAny(shown, ": "); end >= 0 { // the value may follow
			shown = shown[:end] + v1alpha1.MaskedSecret
		}
		errs = append(errs, field.Invalid(name, shown, "the name of a header must consist of letters, digits and the characters ! # $ % & * + - . ^ _ | ~, as in x-api-key"))
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
	return append(errs, validateRequiredKey(h.ValueFrom, path.Child("valueFrom"))...)
}
