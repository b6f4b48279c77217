// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command values copies the comments of a chart's values.yaml into its values.schema.json, as the
// descriptions of the values, and checks that both files have the same values. The comments are
// those that helm-docs reads: they start with "# --". The comment of a group of values, which
// helm-docs does not show, has no "--".
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./hack/values CHART")
		os.Exit(2)
	}
	if err := update(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// update writes the descriptions into the schema of the chart in directory chart.
func update(chart string) error {
	values, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	file := filepath.Join(chart, "values.schema.json")
	schema, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	described, err := describe(values, schema)
	if err != nil {
		return fmt.Errorf("%s and %s differ:\n%w", filepath.Join(chart, "values.yaml"), file, err)
	}
	return os.WriteFile(file, described, 0o600)
}

// describe returns the schema with the descriptions in the comments of the values.
func describe(values, schema []byte) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(values, &document); err != nil {
		return nil, fmt.Errorf("values.yaml: %w", err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("values.yaml is not one mapping")
	}
	var root map[string]any
	decoder := json.NewDecoder(bytes.NewReader(schema))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("values.schema.json: %w", err)
	}
	if err := describeGroup("", document.Content[0], root); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(root)
	return out.Bytes(), err
}

// describeGroup describes the values of a mapping. Its path is empty, or ends with a dot.
func describeGroup(path string, group *yaml.Node, schema map[string]any) error {
	properties, _ := schema["properties"].(map[string]any)
	missing := maps.Clone(properties)
	var errs []error
	for i := 0; i+1 < len(group.Content); i += 2 {
		key, value := group.Content[i], group.Content[i+1]
		delete(missing, key.Value)
		property, ok := properties[key.Value].(map[string]any)
		if !ok {
			errs = append(errs, fmt.Errorf("line %d: the schema has no property %s%s: add it", key.Line, path, key.Value))
			continue
		}
		text, isValue := description(key.HeadComment)
		switch {
		case text == "":
			errs = append(errs, fmt.Errorf("line %d: %s%s has no description: add a comment above it, which starts with \"# --\" unless it is a group", key.Line, path, key.Value))
			continue
		case !isValue && (value.Kind != yaml.MappingNode || len(value.Content) == 0):
			errs = append(errs, fmt.Errorf("line %d: the comment of %s%s must start with \"# --\", so that the README shows it", key.Line, path, key.Value))
			continue
		}
		property["description"] = text
		if !isValue {
			errs = append(errs, describeGroup(path+key.Value+".", value, property))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		errs = append(errs, fmt.Errorf("values.yaml has no value %s%s, which the schema has: add it, or remove the property", path, name))
	}
	return errors.Join(errs...)
}

// typeOfValue is the type in front of a description, which only helm-docs uses.
var typeOfValue = regexp.MustCompile(`^\([a-z]+\) `)

// description returns the text of a comment, and whether it starts with "--": it then describes a
// value, and not a group of values.
func description(comment string) (text string, isValue bool) {
	// An empty line separates comments on the file from the comment of the value.
	if i := strings.LastIndex(comment, "\n\n"); i >= 0 {
		comment = comment[i+2:]
	}
	var words []string
	for line := range strings.Lines(comment) {
		words = append(words, strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "#"))...)
	}
	if len(words) > 0 && words[0] == "--" {
		isValue, words = true, words[1:]
	}
	return typeOfValue.ReplaceAllString(strings.Join(words, " "), ""), isValue
}
