// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is a YAML document of a file.
type document struct {
	data []byte
	// line is the number of lines of the file before the document.
	line int
}

// split returns the YAML documents of a file, without those that have only comments.
func split(data []byte) []document {
	var all []document
	current, line := document{}, 0
	end := func() {
		if !isBlank(current.data) {
			all = append(all, current)
		}
	}
	for text := range bytes.Lines(data) {
		line++
		if rest, found := bytes.CutPrefix(text, []byte("---")); found && isBlank(rest) {
			end()
			current = document{line: line}
			continue
		}
		current.data = append(current.data, text...)
	}
	end()
	return all
}

// isBlank reports whether a document has no content.
func isBlank(data []byte) bool {
	for text := range bytes.Lines(data) {
		if text = bytes.TrimSpace(text); len(text) > 0 && text[0] != '#' {
			return false
		}
	}
	return true
}

// isOther reports whether a document is an object of another API, such as a Secret.
func (d *document) isOther(group string) bool {
	var head struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
	}
	if yaml.Unmarshal(d.data, &head) != nil {
		return false
	}
	return head.APIVersion != "" && head.Kind != "" && head.Kind != "MQTTBridge" && !strings.HasPrefix(head.APIVersion, group+"/")
}

// lineOf returns the line of a field in the file, counted from 1. If the field is missing, it is the line
// of the object that should have it. It returns 0 if the document is not YAML.
func (d *document) lineOf(path string) int {
	var root yaml.Node
	if yaml.Unmarshal(d.data, &root) != nil || len(root.Content) == 0 {
		return 0
	}
	node := root.Content[0]
	line := node.Line
	for _, step := range steps(path) {
		key, value := child(node, step)
		if value == nil {
			break
		}
		line, node = key.Line, value
	}
	return d.line + line
}

// steps splits the path of a field, such as spec.remoteToLocal[0].filter, into names and indexes.
func steps(path string) []string {
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' })
}

// child returns the value of a key or an index, and the node that shows its line.
func child(n *yaml.Node, step string) (key, value *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	default: // a scalar has no children
	}
	return nil, nil
}
