// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// YAML returns the manifest of a bridge, with the findings as comments, and, if secrets is true, its
// Secrets. source is the name of the configuration.
func YAML(b *draft.Bridge, source string, secrets bool) ([]byte, error) {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(b.Secrets)) {
		if !secrets {
			break
		}
		secret := corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: b.Manifest.Namespace},
			StringData: b.Secrets[name],
		}
		if err := document(&out, &secret); err != nil {
			return nil, err
		}
		out.WriteString("---\n")
	}
	comment(&out, fmt.Sprintf("Imported from %s, line %d: %s", source, b.Line, b.Source))
	for _, f := range b.Findings {
		comment(&out, f.String())
	}
	if err := document(&out, &b.Manifest); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// commentWidth is the longest line of a comment, unless a word is longer.
const commentWidth = 100

// comment writes a comment.
func comment(out *bytes.Buffer, text string) {
	width := 0
	for word := range strings.FieldsSeq(printable.Text(text)) {
		if width > 0 && width+1+len(word) > commentWidth {
			out.WriteString("\n#  ")
			width = 3
		} else if width == 0 {
			out.WriteString("#")
			width = 1
		}
		out.WriteString(" " + word)
		width += 1 + len(word)
	}
	out.WriteString("\n")
}

// document writes an object as YAML, with the order of its fields in Go.
func document(out *bytes.Buffer, object any) error {
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encoding a manifest: %w", err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(escaped(data), &node); err != nil {
		return fmt.Errorf("encoding a manifest: %w", err)
	}
	style(&node)
	if top := node.Content[0].Content; len(top) > 3 && top[0].Value == "kind" && top[2].Value == "apiVersion" {
		top[0], top[1], top[2], top[3] = top[2], top[3], top[0], top[1]
	}
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(&node); err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	return encoder.Close()
}

// escaped escapes the characters in JSON that YAML does not permit, such as DEL. JSON has them in
// texts only.
func escaped(data []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(data) {
		if r >= '\x7f' && r <= '\uffff' && !unicode.IsPrint(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

var (
	// plain matches the texts that every version of YAML reads as text without quotes, except
	// words.
	plain = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9_./]*$`)
	// words are the texts that YAML 1.1 reads as another type.
	words = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null)$`)
)

// style gives a document that was read as JSON the style of YAML, and quotes texts if a version of
// YAML reads them as another type.
func style(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		switch {
		case strings.Contains(n.Value, "\n"):
			n.Style = yaml.LiteralStyle
		case !plain.MatchString(n.Value) || words.MatchString(n.Value):
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	for i, c := range n.Content {
		style(c)
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			c.Style = 0
		}
	}
}
