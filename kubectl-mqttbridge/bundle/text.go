// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// YAML returns a masked object in YAML, without the values that the masker has learned since it was masked.
func (m *Masker) YAML(object map[string]any) (string, error) {
	eachText(object, m.known().Replace) // before YAML breaks lines and escapes characters
	out, err := yaml.Marshal(object)
	return string(out), err
}

var (
	// inURL finds URLs. A URL ends at a space, a quote, or a bracket.
	inURL = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'<>(){}\x60]+`)
	// login finds the user and the password of a URL, also with characters at which inURL ends.
	login = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"/]+@`)
	// named finds values after names such as password, token and authorization.
	named = regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|pwd|token|secret|api[-_ ]?key|access[-_ ]?key|private[-_ ]?key|credentials?|authorization|x-amz-[a-z-]+|signature|sig)\\*["']?[ \t]*[=:][ \t]*)(\\*"(?:[^"\\]|\\.)*"?|'[^']*'?|(?:Basic|Bearer|Digest|Negotiate)[ \t]+\S+|[^\s,;&"'}\]]+)`)
	// headers finds headers whose whole value is a secret: it ends at the end of the line.
	headers = regexp.MustCompile(`(?i)\b(authorization|cookie)(:[ \t]*)[^\r\n]+`)
	// scheme finds the credentials of HTTP.
	scheme = regexp.MustCompile(`(?i)\b((?:Basic|Bearer)[ \t]+)([A-Za-z0-9+/=._~-]{8,})`)
	// jwt finds JSON Web Tokens.
	jwt = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*`)
	// pem finds blocks of PEM, which logs may have in one line.
	pem = regexp.MustCompile(`(?s)-----BEGIN ([A-Z0-9 ]*)-----.*?(-----END [A-Z0-9 ]*-----|$)`)
)

// Text removes secrets from a text.
func (m *Masker) Text(text string) string {
	text = pem.ReplaceAllString(text, mask)
	text = m.known().Replace(text)
	text = login.ReplaceAllString(text, "${1}"+v1alpha1.MaskedSecret+"@")
	text = inURL.ReplaceAllStringFunc(text, v1alpha1.PublicURL)
	text = jwt.ReplaceAllString(text, mask)
	text = headers.ReplaceAllString(text, "${1}${2}"+mask)
	text = named.ReplaceAllString(text, "${1}"+mask)
	return scheme.ReplaceAllString(text, "${1}"+mask)
}

// known returns the replacer of the learned values in all their written forms, the longest first.
func (m *Masker) known() *strings.Replacer {
	if m.replacer != nil {
		return m.replacer
	}
	all := map[string]bool{}
	for value := range m.learned {
		for _, form := range forms(value) {
			all[form] = true
		}
	}
	var pairs []string
	for _, value := range slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) }) {
		pairs = append(pairs, value, mask)
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m.replacer
}

// forms returns the ways in which logs, URLs and headers write a value.
func forms(value string) []string {
	out := []string{value, url.QueryEscape(value), url.PathEscape(value), strings.Trim(strconv.Quote(value), `"`)}
	if data, err := json.Marshal(value); err == nil {
		out = append(out, strings.Trim(string(data), `"`))
	}
	if unescaped, err := url.QueryUnescape(value); err == nil && len(unescaped) >= shortest {
		out = append(out, unescaped)
	}
	return append(out, base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)))
}
