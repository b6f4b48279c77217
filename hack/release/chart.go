// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A change is an entry of the annotation artifacthub.io/changes.
type change struct {
	Kind        string `yaml:"kind"`
	Description string `yaml:"description"`
}

// kinds are the kinds of changes on Artifact Hub, by the first word of the headings in the changelog.
var kinds = map[string]string{
	"Added": "added", "Changed": "changed", "Changes": "changed", "Deprecated": "deprecated",
	"Removed": "removed", "Fixed": "fixed", "Security": "security",
}

// writeChart copies the chart to a directory, and sets the versions and annotations of a release.
func writeChart(root, v, to string) error {
	sections, err := readChangelog(root)
	if err != nil {
		return err
	}
	changes, err := changesOf(sectionOf(sections, v))
	if err != nil {
		return err
	}
	dir := filepath.Join(to, filepath.Base(chartDir))
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, chartDir))); err != nil {
		return fmt.Errorf("copying the chart: %w", err)
	}
	file := filepath.Join(dir, "Chart.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if data, err = setRelease(data, v, changes); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, data, 0o600)
}

// changesOf returns the changes in a section: the first sentence of each item.
func changesOf(s section) ([]change, error) {
	var (
		out  []change
		kind string
		item strings.Builder
	)
	end := func() {
		if text := firstSentence(item.String()); text != "" && kind != "" {
			out = append(out, change{kind, text})
		}
		item.Reset()
	}
	for i, line := range strings.Split(s.body, "\n") {
		switch {
		case strings.HasPrefix(line, "### "):
			end()
			word, _, _ := strings.Cut(strings.TrimRight(strings.Fields(line)[1], ":"), ":")
			if kind = kinds[word]; kind == "" {
				return nil, fmt.Errorf("%s, line %d of the section at line %d: the heading %q begins with none of Added, Changed, Changes, Deprecated, Removed, Fixed and Security", changelogFile, i+1, s.line, line)
			}
		case strings.HasPrefix(line, "- "):
			end()
			item.WriteString(line[2:])
		case strings.HasPrefix(line, "  ") && item.Len() > 0:
			item.WriteString(" " + strings.TrimSpace(line))
		default:
			end()
		}
	}
	end()
	if len(out) == 0 {
		return nil, fmt.Errorf("%s:%d: the section has no list of changes below a heading such as \"### Added\"", changelogFile, s.line)
	}
	return out, nil
}

var (
	markdownLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	markup       = strings.NewReplacer("**", "", "`", "")
	sentenceEnd  = regexp.MustCompile(`[.?!](?: |$)`)
)

// firstSentence returns the first sentence of an item without markup.
func firstSentence(item string) string {
	text := markup.Replace(markdownLink.ReplaceAllString(item, "$1"))
	if end := sentenceEnd.FindStringIndex(text); end != nil {
		text = text[:end[0]+1]
	}
	return strings.TrimSpace(text)
}

// setRelease returns Chart.yaml with the versions and the annotations of a release.
func setRelease(data []byte, v string, changes []change) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is not a mapping")
	}
	chart := document.Content[0]
	annotations := lookUp(chart, "annotations")
	if annotations == nil || annotations.Kind != yaml.MappingNode {
		return nil, errors.New("it has no annotations")
	}
	earlier := lookUp(chart, "version")
	images := lookUp(annotations, annotation+"images")
	if earlier == nil || images == nil {
		return nil, errors.New("it has no version, or no annotation images")
	}
	list, err := yaml.Marshal(changes)
	if err != nil {
		return nil, err
	}
	security := false
	for _, c := range changes {
		security = security || c.Kind == "security"
	}
	setText(annotations, annotation+"images", strings.ReplaceAll(images.Value, image+":"+earlier.Value+"\n", image+":"+v+"\n"))
	setText(annotations, annotation+"changes", string(list))
	setText(annotations, annotation+"containsSecurityUpdates", strconv.FormatBool(security))
	setText(annotations, annotation+"prerelease", strconv.FormatBool(prerelease(v)))
	setText(chart, "version", v)
	setText(chart, "appVersion", v)
	return yaml.Marshal(&document)
}

// lookUp returns the value of a key, or nil.
func lookUp(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// setText sets a key to a text, and adds the key if there is none.
func setText(mapping *yaml.Node, key, value string) {
	node := lookUp(mapping, key)
	if node == nil {
		node = &yaml.Node{}
		mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, node)
	}
	*node = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	if strings.Contains(value, "\n") {
		node.Style = yaml.LiteralStyle
	}
}
