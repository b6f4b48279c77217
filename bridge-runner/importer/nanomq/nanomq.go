// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nanomq imports the bridges of NanoMQ: bridges.mqtt.NAME of nanomq.conf since release
// 0.19, the list bridges.mqtt.nodes of releases 0.14 to 0.18, the AWS bridges of both, and the
// older format of lines with bridge.mqtt.NAME.KEY=VALUE.
package nanomq

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/hocon"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// lines matches a configuration of the format with lines KEY=VALUE.
var lines = regexp.MustCompile(`(?m)^[ \t]*(aws[.])?bridge[.](mqtt|sqlite)([.][-A-Za-z0-9_.]+)?[ \t]*=[ \t]*[^{\[ \t]`)

// section and words match a configuration of the other formats that cannot be parsed.
var (
	section = regexp.MustCompile(`(?m)^[ \t]*bridges?([.](mqtt|aws)\b|[ \t]*[={])`)
	words   = regexp.MustCompile(`\b(forwards|subscription|hybrid_servers|mqtt-tcp|mqtt-quic)\b`)
)

// Recognize reports whether a configuration has bridges of NanoMQ.
func Recognize(data []byte) bool {
	if lines.Match(data) {
		return true
	}
	root, _, err := hocon.Parse(data)
	if err != nil {
		return section.Match(data) && words.Match(data)
	}
	for _, node := range nodes(root) {
		if connector := node.value.Get("connector"); connector != nil {
			node.value = connector.Value
		}
		server := node.value.Get("server")
		if server != nil && (strings.Contains(server.Value.Text, "mqtt-tcp://") || strings.Contains(server.Value.Text, "mqtt-quic://")) {
			return true
		}
		for _, key := range []string{"forwards", "subscription", "hybrid_servers"} {
			if node.value.Get(key) != nil {
				return true
			}
		}
	}
	return false
}

// Import returns the bridges in a configuration, and the findings that belong to no bridge.
func Import(data []byte, opts *draft.Options) ([]*draft.Bridge, []draft.Finding, error) {
	root, includes, findings, err := parse(data)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range includes {
		findings = append(findings, draft.Finding{Kind: draft.LeftOut, Line: i.Line, Key: "include", Text: "the file " + i.File + " is not read; import it as a further FILE"})
	}
	var bridges []*draft.Bridge
	hasLines := lines.Match(data)
	for _, n := range nodes(root) {
		if n.value.Kind != tree.Object {
			findings = append(findings, draft.Finding{Kind: draft.LeftOut, Line: n.line, Key: n.path, Text: "a bridge is an object in braces { }"})
			continue
		}
		if n.name == "cache" {
			findings = append(findings, leaveCache(n.path, n.value)...)
			continue
		}
		b := draft.New(opts, n.name, n.line)
		importer{Bridge: b, root: root, aws: n.aws, lines: hasLines, enable: n.enable}.read(b.Reader(n.path, n.value))
		if hasLines {
			noteComments(b, n.value)
		}
		if err := b.Finish(); err != nil {
			return nil, nil, err
		}
		bridges = append(bridges, b)
	}
	return bridges, append(findings, leaveRules(root)...), nil
}

// noteComments adds a note for each value of the format with lines that seems to end with a comment.
func noteComments(b *draft.Bridge, v *tree.Value) {
	for _, f := range v.Fields {
		switch f.Value.Kind {
		case tree.Text:
			b.NoteComment(f.Line, f.Shown, f.Value.Text, program)
		case tree.List:
			for _, item := range f.Value.Items {
				b.NoteComment(item.Line, f.Shown, item.Text, program)
				noteComments(b, item)
			}
		case tree.Object, tree.Reference:
			noteComments(b, f.Value)
		}
	}
}

func parse(data []byte) (*tree.Value, []hocon.Include, []draft.Finding, error) {
	if lines.Match(data) {
		root, notes, err := parseLines(data)
		return root, nil, notes, err
	}
	root, includes, err := hocon.Parse(data)
	return root, includes, nil, err
}

// node is the configuration of one bridge.
type node struct {
	name, path string
	line       int
	value      *tree.Value
	aws        bool
	enable     string // as in importer
}

// nodes returns the configurations of all bridges.
func nodes(root *tree.Value) []node {
	var out []node
	for _, top := range []string{"bridges", "bridge"} {
		for _, kind := range []string{"mqtt", "aws"} {
			f := root.Find(top, kind)
			if f == nil || f.Value.Kind != tree.Object {
				continue
			}
			path := top + "." + kind
			for _, b := range f.Value.Fields {
				n := node{name: b.Key, path: path + "." + b.Key, line: b.Line, value: b.Value, aws: kind == "aws"}
				if top == "bridge" { // the format with lines
					n.enable = "bridge_mode"
				}
				if b.Key == "nodes" && b.Value.Kind == tree.List {
					out = append(out, listed(n)...)
				} else {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// listed returns the configurations in the list of releases 0.14 to 0.18.
func listed(list node) []node {
	out := make([]node, 0, len(list.value.Items))
	for i, item := range list.value.Items {
		n := node{path: list.path + "[" + strconv.Itoa(i) + "]", line: item.Line, value: item, aws: list.aws}
		n.enable = "enable"
		if name := item.Get("name"); name != nil {
			n.name = name.Value.Text
		}
		n.name = cmp.Or(n.name, "bridge-"+strconv.Itoa(i+1))
		out = append(out, n)
	}
	return out
}

const cacheReason = "NanoMQ counts cached messages; a bridge of this project limits their size: the server that the messages come from keeps them, or set spec.buffer.disk.size"

// leaveCache leaves out the settings of the cache on disk.
func leaveCache(path string, v *tree.Value) []draft.Finding {
	b := draft.New(&draft.Options{}, "cache", v.Line)
	b.Reader(path, v).Rest(map[string]string{"*": cacheReason})
	return b.Findings
}

// leaveRules leaves out the rules that publish to other brokers, and the cache of the format with
// lines.
func leaveRules(root *tree.Value) []draft.Finding {
	var out []draft.Finding
	if f := root.Find("rules", "repub"); f != nil {
		out = append(out, draft.Finding{Kind: draft.LeftOut, Line: f.Line, Key: "rules.repub", Text: "a bridge of this project forwards messages as they are, and has no SQL"})
	}
	if f := root.Find("bridge", "sqlite"); f != nil && f.Value.Kind == tree.Object {
		out = append(out, leaveCache("bridge.sqlite", f.Value)...)
	}
	return out
}
