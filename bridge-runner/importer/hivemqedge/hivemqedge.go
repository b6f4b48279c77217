// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hivemqedge imports the bridges of HiveMQ Edge: mqtt-bridges in its config.xml.
package hivemqedge

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// Recognize reports whether a configuration has bridges of HiveMQ Edge.
func Recognize(data []byte) bool {
	return bytes.Contains(data, []byte("<mqtt-bridge"))
}

// Import returns the bridges in a configuration, and the findings that belong to no bridge.
func Import(data []byte, opts *draft.Options) ([]*draft.Bridge, []draft.Finding, error) {
	root, err := parse(data)
	if err != nil {
		return nil, nil, err
	}
	var bridges []*draft.Bridge
	list := root.Find("hivemq", "mqtt-bridges")
	if list == nil {
		list = root.Find("mqtt-bridges")
	}
	if list == nil {
		return nil, nil, nil
	}
	others := &draft.Bridge{}
	r := others.Reader("mqtt-bridges", list.Value)
	for _, item := range r.Items("mqtt-bridge") {
		name := ""
		if id := item.Get("id"); id != nil {
			name = id.Value.Text
		}
		if name == "" {
			return nil, nil, tree.Errorf(item.Line, item.Column, "mqtt-bridge has no id")
		}
		b := draft.New(opts, name, item.Line)
		importer{Bridge: b, root: root}.read(b.Reader("mqtt-bridge", item))
		if err := b.Finish(); err != nil {
			return nil, nil, err
		}
		bridges = append(bridges, b)
	}
	r.Rest(nil)
	return bridges, others.Findings, nil
}

// reference matches the values that HiveMQ Edge takes from its environment.
var reference = regexp.MustCompile(`[$]\{(ENV|FRAGMENT)\b|[$]ENV\{`)

// maxDepth is the deepest nesting of elements.
const maxDepth = 64

// parse reads XML: an element with elements is an object, an element with text is a text, and
// elements of the same name are a list.
func parse(data []byte) (*tree.Value, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	root := &tree.Value{Kind: tree.Object, Line: 1, Column: 1}
	if err := elements(d, root, 0); err != nil {
		var fault *tree.Error
		if errors.As(err, &fault) {
			return nil, err
		}
		line, column := d.InputPos()
		var syntax *xml.SyntaxError
		if errors.As(err, &syntax) {
			err = errors.New(withoutQuote(syntax.Msg))
		}
		return nil, tree.Errorf(line, column, "%v", err)
	}
	return root, nil
}

// withoutQuote returns the message of a syntax error without a quote from the file: the quote may be a part
// of a password.
func withoutQuote(message string) string {
	switch {
	case strings.Contains(message, "entity"):
		return "an & begins no entity of XML; write &amp; for an & in a text"
	case strings.Contains(message, "<"), strings.Contains(message, "invalid XML name"):
		return "the elements are not closed in the order of their beginnings; correct the names, and write &lt; for a < in a text"
	}
	return message
}

// elements reads the contents of an element.
func elements(d *xml.Decoder, parent *tree.Value, depth int) error {
	var text strings.Builder
	line, column := d.InputPos()
	if depth > maxDepth {
		return tree.Errorf(line, column, "elements are nested deeper than %d levels", maxDepth)
	}
	for {
		startLine, startColumn := d.InputPos()
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && depth == 0:
			return nil
		case err != nil:
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			v := &tree.Value{Line: startLine, Column: startColumn}
			if err := elements(d, v, depth+1); err != nil {
				return err
			}
			add(parent, &tree.Field{Key: t.Name.Local, Line: startLine, Column: startColumn, Value: v})
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if parent.Kind != tree.Object {
				parent.Text = strings.TrimSpace(text.String())
			}
			if reference.MatchString(parent.Text) {
				parent.Kind = tree.Reference
			}
			return nil
		}
	}
}

// add adds an element to its parent. Elements of the same name become a list.
func add(parent *tree.Value, f *tree.Field) {
	parent.Kind = tree.Object
	old := parent.Get(f.Key)
	switch {
	case old == nil:
		parent.Fields = append(parent.Fields, f)
	case old.Value.Kind == tree.List:
		old.Value.Items = append(old.Value.Items, f.Value)
	default:
		old.Value = &tree.Value{Kind: tree.List, Line: old.Line, Column: old.Column, Items: []*tree.Value{old.Value, f.Value}}
	}
}
