// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Document is a YAML document of a file.
type Document struct {
	// Data begins with an empty line for each line of the file before the document, so that errors name the
	// lines of the file.
	Data []byte
	// line is the first line of the document in the file, and before the number of lines before its marker
	// or, without a marker, 0.
	line, before int
}

// Documents returns the YAML documents of a file that may be MQTTBridges. It leaves out documents that
// have only comments, and objects of other APIs, such as Secrets. If there is none, the error names the
// content of the file.
func Documents(file []byte) ([]Document, error) {
	var bridges []Document
	var others []string
	for _, d := range split(file) {
		switch other := d.other(); {
		case other == "":
			bridges = append(bridges, d)
		case !slices.Contains(others, other):
			others = append(others, other)
		}
	}
	const remedy = "name a file with a manifest of kind MQTTBridge"
	for i := range bridges { // not before: a file may have thousands of other objects
		d := &bridges[i]
		d.Data = append(bytes.Repeat([]byte("\n"), d.before), d.Data...)
	}
	switch {
	case len(bridges) > 0:
		return bridges, nil
	case len(others) == 0:
		return nil, errors.New("the file has no MQTTBridge: it is empty; " + remedy)
	}
	return nil, fmt.Errorf("the file has no MQTTBridge: it has only objects of other APIs: %s; %s", strings.Join(others, ", "), remedy)
}

// split returns the documents of a file that are not blank, without the empty lines at the beginning of Data.
func split(file []byte) []Document {
	file = bytes.TrimPrefix(utf8Text(file), []byte("\uFEFF"))
	var all []Document
	current, line := Document{line: 1}, 0
	end := func() {
		if !isBlank(current.Data) {
			all = append(all, current)
		}
	}
	for text := range bytes.Lines(file) {
		line++
		if content, isMarker := afterMarker(text); isMarker {
			end()
			current = Document{line: line, before: line - 1}
			if isBlank(content) {
				current.line++
			}
			text = content
		}
		current.Data = append(current.Data, text...)
	}
	end()
	return all
}

// afterMarker returns the content of a line after a marker between documents (YAML 1.2 section 9.1.2), which
// spaces replace. isMarker is false for other lines.
func afterMarker(line []byte) (content []byte, isMarker bool) {
	for _, marker := range []string{"---", "..."} {
		if rest, found := bytes.CutPrefix(line, []byte(marker)); found && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))) {
			return append([]byte("   "), rest...), true
		}
	}
	return nil, false
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

// other returns the kind and the API of a document that is an object of another API, such as a Secret. It is
// empty for other documents, and for a list of objects with an MQTTBridge.
func (d *Document) other() string {
	type object struct {
		APIVersion string    `yaml:"apiVersion"`
		Kind       string    `yaml:"kind"`
		Items      yaml.Node `yaml:"items"`
	}
	var head object
	if yaml.Unmarshal(d.Data, &head) != nil || head.APIVersion == "" || head.Kind == "" ||
		head.Kind == "MQTTBridge" || strings.HasPrefix(head.APIVersion, v1alpha1.GroupVersion.Group+"/") {
		return ""
	}
	if head.APIVersion == "v1" && head.Kind == "List" {
		for _, n := range head.Items.Content {
			var item object
			if n.Decode(&item) == nil && item.Kind == "MQTTBridge" {
				return ""
			}
		}
	}
	return fmt.Sprintf("%s (%s)", head.Kind, head.APIVersion)
}

// Line returns the first line of the document in the file, counted from 1.
func (d *Document) Line() int { return d.line }

// LineOf returns the line of a field in the file, counted from 1. If the field is missing, it is the line
// of the object that should have it. It returns 0 if the document is not YAML.
func (d *Document) LineOf(path string) int {
	var root yaml.Node
	if yaml.Unmarshal(d.Data, &root) != nil || len(root.Content) == 0 {
		return 0
	}
	node := root.Content[0]
	line := node.Line
	for steps := stepsOf(path); len(steps) > 0; {
		key, value, used := descend(node, steps)
		if value == nil {
			break
		}
		line, node, steps = key.Line, value, steps[used:]
	}
	return line
}

// descend returns the value of the first steps, and the node that shows its line. It is the value of one step, or of a
// key that contains dots. used is the number of steps of the key.
func descend(n *yaml.Node, steps []string) (key, value *yaml.Node, used int) {
	for used = 1; used <= min(len(steps), maxKeySteps); used++ {
		if key, value = childOf(n, strings.Join(steps[:used], ".")); value != nil {
			return key, value, used
		}
	}
	return nil, nil, 0
}

// maxKeySteps is the largest number of parts, separated by dots, of a key whose line is found.
const maxKeySteps = 16

// stepsOf splits the path of a field, such as spec.remoteToLocal[0].filter, into names and indexes.
func stepsOf(path string) []string {
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' })
}

// childOf returns the value of a key or an index, and the node that shows its line.
func childOf(n *yaml.Node, step string) (key, value *yaml.Node) {
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
