// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mosquitto imports the bridges of Mosquitto: the connection blocks of mosquitto.conf.
package mosquitto

import (
	"regexp"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

var connection = regexp.MustCompile(`(?m)^[ \t]*connection[ \t]+[^ \t={]`)

// Recognize reports whether a configuration has bridges of Mosquitto.
func Recognize(data []byte) bool { return connection.Match(data) }

// Import returns the bridges in a configuration, and the findings that belong to no bridge.
func Import(data []byte, opts *draft.Options) ([]*draft.Bridge, []draft.Finding, error) {
	broker, connections, err := parse(data)
	if err != nil {
		return nil, nil, err
	}
	var bridges []*draft.Bridge
	for _, c := range connections {
		b := draft.New(opts, c.Key, c.Line)
		importer{b}.read(b.Reader("", c.Value), broker)
		if err := b.Finish(); err != nil {
			return nil, nil, err
		}
		bridges = append(bridges, b)
	}
	var findings []draft.Finding
	if f := broker.Get("include_dir"); f != nil {
		findings = append(findings, draft.Finding{Kind: draft.LeftOut, Line: f.Line, Key: "include_dir", Text: "the files in " + f.Value.Text + " are not read; import each of them as a further FILE"})
	}
	return bridges, findings, nil
}

// options are the options of a connection block, and the names under which the import reads them.
// All other options are settings of the broker, also if they follow a connection block.
var options = bridgeOptions()

func bridgeOptions() map[string]string {
	out := map[string]string{
		"clientid": "remote_clientid", "username": "remote_username", "password": "remote_password", "addresses": "address",
	}
	for _, option := range strings.Fields(`address topic remote_clientid remote_username remote_password
		local_clientid local_username local_password cleansession local_cleansession keepalive_interval
		restart_timeout notifications notifications_local_only notification_topic try_private start_type
		threshold idle_timeout round_robin`) {
		out[option] = option
	}
	return out
}

// usedOfBroker are the options of the broker that the import uses.
var usedOfBroker = map[string]bool{
	"listener": true, "port": true, "allow_anonymous": true, "include_dir": true,
	"max_queued_messages": true, "max_queued_bytes": true, "max_inflight_messages": true, "queue_qos0_messages": true,
}

// parse reads lines of an option and its value. It returns the options of the broker, and those of
// each connection.
func parse(data []byte) (broker *tree.Value, connections []*tree.Field, err error) {
	broker = &tree.Value{Kind: tree.Object, Line: 1, Column: 1}
	var current *tree.Field
	number := 0
	for raw := range strings.Lines(strings.TrimPrefix(string(data), "\uFEFF")) {
		number++
		line := strings.TrimSpace(raw)
		if line == "" || line[0] == '#' {
			continue
		}
		option, text := line, ""
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			option, text = line[:i], strings.TrimSpace(line[i:])
		}
		column := strings.Index(raw, line) + 1
		f := &tree.Field{Key: option, Shown: option, Line: number, Column: column,
			Value: &tree.Value{Text: text, Line: number, Column: column + strings.LastIndex(line, text)}}
		name, ofBridge := options[option]
		ofBridge = ofBridge || strings.HasPrefix(option, "bridge_")
		switch {
		case text == "":
			return nil, nil, tree.Errorf(number, column, "the option %s has no value; write it after a space", option)
		case option == "connection":
			f.Key = strings.Fields(text)[0]
			f.Value = &tree.Value{Kind: tree.Object, Line: number, Column: column}
			for _, c := range connections {
				if c.Key == f.Key {
					return nil, nil, tree.Errorf(number, column, "the connection %s is already in line %d; give one of them another name", f.Key, c.Line)
				}
			}
			connections, current = append(connections, f), f
		case !ofBridge:
			if usedOfBroker[option] && broker.Get(option) == nil {
				broker.Fields = append(broker.Fields, f)
			}
		case current == nil:
			return nil, nil, tree.Errorf(number, column, "the option %s belongs to a bridge, but no connection precedes it; write connection NAME before it", option)
		default:
			if name != "" {
				f.Key = name
			}
			if err := addOption(current.Value, f); err != nil {
				return nil, nil, err
			}
		}
	}
	return broker, connections, nil
}

// addOption adds an option to a connection. Topics are a list; of other options the last one
// applies, as in Mosquitto.
func addOption(c *tree.Value, f *tree.Field) error {
	old := c.Get(f.Key)
	switch {
	case f.Key == "topic" && old == nil:
		f.Value = &tree.Value{Kind: tree.List, Line: f.Line, Column: f.Column, Items: []*tree.Value{f.Value}}
	case f.Key == "topic":
		old.Value.Items = append(old.Value.Items, f.Value)
		return nil
	case f.Key == "address" && old != nil:
		return tree.Errorf(f.Line, f.Column, "the connection has a second %s, the first one is in line %d; write all addresses in one line, separated by spaces", f.Shown, old.Line)
	}
	c.Set([]string{f.Key}, f)
	return nil
}
