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
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Document is a YAML document of a file. One goroutine at a time may use it.
type Document struct {
	// Data is the content of the document.
	Data []byte
	// line is the first line of the document in the file, and before the number of lines before Data.
	line, before int

	// parsed is true after LineOf has parsed Data.
	parsed bool
	// root is the content as a tree. It is nil if Data is not YAML. It is valid if parsed is set.
	root *yaml.Node
	// keys are the positions of the keys in the objects of the tree, by object.
	keys map[*yaml.Node]map[string]int
}

// maxOthers is the largest number of kinds of other APIs that an error names.
const maxOthers = 10

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
		case len(others) <= maxOthers && !slices.Contains(others, other):
			others = append(others, other)
		}
	}
	if len(others) > maxOthers {
		others[maxOthers] = "and others"
	}
	const remedy = "name a file with a manifest of kind MQTTBridge"
	switch {
	case len(bridges) > 0:
		return bridges, nil
	case len(others) == 0:
		return nil, errors.New("the file has no MQTTBridge: it is empty; " + remedy)
	}
	return nil, fmt.Errorf("the file has no MQTTBridge: it has only objects of other APIs: %s; %s", strings.Join(others, ", "), remedy)
}

// split returns the documents of a file that are not blank.
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

// Check returns the result of [Check]. Errors name the lines of the file.
func (d *Document) Check() (m *Manifest, problems field.ErrorList, err error) {
	return check(d.Data, d.before)
}

// LineOf returns the line of a field in the file, counted from 1. If the field is missing, it is the line
// of the object that should have it. It returns 0 if the document is not YAML.
func (d *Document) LineOf(path string) int {
	if !d.parsed {
		d.parsed = true
		var document yaml.Node
		if yaml.Unmarshal(d.Data, &document) == nil && len(document.Content) > 0 {
			d.root = document.Content[0]
		}
	}
	if d.root == nil {
		return 0
	}
	node, line := d.root, d.root.Line
	for steps := stepsOf(path); len(steps) > 0; {
		key, value, used := d.descend(node, steps)
		if value == nil {
			break
		}
		line, node, steps = key.Line, value, steps[used:]
	}
	return d.before + line
}

// descend returns the value of the first steps, and the node that shows its line. It is the value of one step, or of a
// key that contains dots. used is the number of steps of the key.
func (d *Document) descend(n *yaml.Node, steps []string) (key, value *yaml.Node, used int) {
	for used = 1; used <= min(len(steps), maxKeySteps); used++ {
		if key, value = d.childOf(n, strings.Join(steps[:used], ".")); value != nil {
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
func (d *Document) childOf(n *yaml.Node, step string) (key, value *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		if i, ok := d.keysOf(n)[step]; ok {
			return n.Content[i], n.Content[i+1]
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	default: // a scalar has no children
	}
	return nil, nil
}

// keysOf returns the positions of the keys in an object. Of equal keys it is the first one.
func (d *Document) keysOf(n *yaml.Node) map[string]int {
	if known := d.keys[n]; known != nil {
		return known
	}
	keys := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if _, ok := keys[n.Content[i].Value]; !ok {
			keys[n.Content[i].Value] = i
		}
	}
	if d.keys == nil {
		d.keys = map[*yaml.Node]map[string]int{}
	}
	d.keys[n] = keys
	return keys
}
