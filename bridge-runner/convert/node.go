// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// object is a YAML mapping. All methods accept nil, which is a mapping without keys that
// cannot be changed.
type object struct{ node *yaml.Node }

// objectOf returns the node as a mapping, or nil if it is none.
func objectOf(n *yaml.Node) *object {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	return &object{n}
}

// at returns the index of a key in the content of the node, or -1.
func (o *object) at(key string) int {
	if o != nil {
		for i := 0; i+1 < len(o.node.Content); i += 2 {
			if o.node.Content[i].Value == key {
				return i
			}
		}
	}
	return -1
}

// get returns the value of a key, or nil.
func (o *object) get(key string) *yaml.Node {
	if i := o.at(key); i >= 0 {
		return o.node.Content[i+1]
	}
	return nil
}

// object returns the mapping under a key, or nil.
func (o *object) object(key string) *object { return objectOf(o.get(key)) }

// items returns the mappings of the list under a key.
func (o *object) items(key string) []*object {
	list := o.get(key)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var out []*object
	for _, n := range list.Content {
		if item := objectOf(n); item != nil {
			out = append(out, item)
		}
	}
	return out
}

// text returns the value of a key if it is a scalar, otherwise "".
func (o *object) text(key string) string {
	if n := o.get(key); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// rename gives a key another name. Its comments and its place stay.
func (o *object) rename(from, to string) {
	if i := o.at(from); i >= 0 {
		o.node.Content[i].Value = to
	}
}

// remove removes a key and returns its value, or nil if there is none.
func (o *object) remove(key string) *yaml.Node {
	i := o.at(key)
	if i < 0 {
		return nil
	}
	value := o.node.Content[i+1]
	o.node.Content = slices.Delete(o.node.Content, i, i+2)
	return value
}

// set sets a key, at the end if it is new.
func (o *object) set(key string, value *yaml.Node) {
	if i := o.at(key); i >= 0 {
		o.node.Content[i+1] = value
		return
	}
	o.node.Content = append(o.node.Content, text(key), value)
}

// child returns the mapping under a key, and makes it if there is none.
func (o *object) child(key string) *object {
	if c := o.object(key); c != nil {
		return c
	}
	o.set(key, mapping())
	return o.object(key)
}

// text returns a scalar for a string. The encoder quotes it if necessary.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func boolean(b bool) *yaml.Node {
	n := &yaml.Node{}
	_ = n.Encode(b) // never fails
	return n
}

// mapping returns a mapping of keys and values, on one line.
func mapping(keysAndValues ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: keysAndValues}
}
