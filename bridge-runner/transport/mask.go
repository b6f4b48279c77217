// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaskedSecret replaces a secret.
const MaskedSecret = "..."

// minSecretLength is the smallest length of a value that is masked, in bytes. A shorter value, such as
// the 1 in v=1, is not a secret, and occurs in many texts.
const minSecretLength = 4

// minPart is the smallest length of a named part of a header value that is masked, in bytes. Most
// of these parts are not secrets.
const minPart = 8

// Mask replaces the query and the header values of the WebSocket request in a text. A server may
// repeat them in its messages.
func (c *Config) Mask(text string) string {
	for _, secret := range c.secrets() {
		text = strings.ReplaceAll(text, secret, MaskedSecret)
	}
	return text
}

// MaskValue replaces one secret in a text, in each form in which a server may write it.
func MaskValue(text, secret string) string {
	for _, form := range forms(secret) {
		text = strings.ReplaceAll(text, form, MaskedSecret)
	}
	return text
}

// forms returns the forms in which a server may write a value, the longest first. Forms that are too short to
// be masked are left out.
func forms(value string) []string {
	quoted := strconv.Quote(value)
	all := []string{value, quoted[1 : len(quoted)-1], url.QueryEscape(value), url.PathEscape(value)}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.DeleteFunc(slices.Compact(all), func(form string) bool { return len(form) < minSecretLength })
}

// secrets returns the values that no message may contain, the longest first.
func (c *Config) secrets() []string {
	var out []string
	add := func(value string) {
		for _, form := range forms(value) {
			if !slices.Contains(out, form) {
				out = append(out, form)
			}
		}
	}
	addEncoded := func(value string) {
		add(value)
		if plain, err := url.QueryUnescape(value); err == nil {
			add(plain)
		}
		if plain, err := url.PathUnescape(value); err == nil {
			add(plain)
		}
	}
	if _, query, ok := strings.Cut(c.Path, "?"); ok {
		add(query)
		for parameter := range strings.SplitSeq(query, "&") {
			name, value, ok := strings.Cut(parameter, "=")
			if !ok {
				value = name
			}
			addEncoded(value)
		}
	}
	for _, values := range c.Header {
		for _, value := range values {
			add(value)
			if scheme, credentials, ok := strings.Cut(value, " "); ok { // as in Bearer TOKEN
				credentials = strings.TrimSpace(credentials)
				add(credentials)
				if login, err := base64.StdEncoding.DecodeString(credentials); err == nil && strings.EqualFold(scheme, "Basic") {
					_, password, _ := strings.Cut(string(login), ":")
					add(string(login))
					add(password)
				}
			}
			for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" ,;&", r) }) {
				if _, text, ok := strings.Cut(part, "="); ok && len(text) >= minPart { // as in a cookie or a signature
					addEncoded(strings.Trim(text, `"`))
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return out
}
