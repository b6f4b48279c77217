// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package nanomq

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

func hostPort(host string, port int) string { return fmt.Sprintf("%s:%d", host, port) }

// renamed are the keys that the format with lines calls differently.
var renamed = map[string]string{
	"address": "server", "tls": "ssl", "bridge_mode": "enable", "parallel": "max_parallel_processes", "host": "host", "port": "port",
}

// settings are keys of bridges. In the oldest format, a bridge has no name, and they follow
// bridge.mqtt.
var settings = regexp.MustCompile(`^(address|proto_ver|clientid|keepalive|clean_start|username|password|bridge_mode|forwards|subscription|parallel|tls|quic_.*|will|connect|max_.*|hybrid_.*|backup_.*)$`)

// numbers and switches are the last parts of the keys whose values are numbers, or true and false.
var (
	numbers  = regexp.MustCompile(`^(proto_ver|keepalive|backoff_max|port|qos|retain|retain_handling|retain_as_published|session_expiry_interval|maximum_packet_size)$`)
	switches = regexp.MustCompile(`^(enable|bridge_mode|clean_start|verify_peer|hybrid_bridging|retry_qos_0)$`)
)

// beforeComment matches the number at the beginning of a value that a comment follows.
var beforeComment = regexp.MustCompile(`^([+-]?\d+)[ \t]*#`)

// typed returns the value of a key as NanoMQ reads it if # follows it: of a number, NanoMQ reads the
// digits at the beginning. A switch is on if the whole value is true; note explains that it is off.
func typed(key, text string) (value, note string) {
	last := key[strings.LastIndex(key, ".")+1:]
	switch digits := beforeComment.FindStringSubmatch(text); {
	case numbers.MatchString(last) && digits != nil:
		return digits[1], ""
	case switches.MatchString(last) && strings.Contains(text, "#"):
		return "false", "NanoMQ reads the value as false, because it has comments only in lines of their own, and only the value true turns the key on; move the text from # on to a line of its own if the key is to be true"
	}
	return text, ""
}

// maxParts is the largest number of parts of a key. Each part is a level of objects.
const maxParts = 64

// parseLines reads the format with lines KEY=VALUE, and returns it in the form of the current
// format, with notes about values. Values have no quotes. A line that begins with # is a comment.
func parseLines(data []byte) (*tree.Value, []draft.Finding, error) {
	var notes []draft.Finding
	root := &tree.Value{Kind: tree.Object, Line: 1, Column: 1}
	forwards := map[string]*tree.Value{} // the lists, by the path of their bridge
	number := 0
	for raw := range strings.Lines(strings.TrimPrefix(string(data), "\uFEFF")) {
		number++
		line := strings.TrimSpace(raw)
		column := strings.Index(raw, line) + 1
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, text, ok := strings.Cut(line, "=")
		key, text = strings.TrimSpace(key), strings.TrimSpace(text)
		parts := strings.Split(key, ".")
		aws := len(parts) > 1 && parts[0] == "aws"
		if aws {
			parts = parts[1:]
		}
		isBridge := len(parts) > 2 && parts[0] == "bridge" && parts[1] == "mqtt"
		switch {
		case ok && len(parts) == 2 && parts[0] == "bridge" && parts[1] == "mqtt":
			return nil, nil, tree.Errorf(number, column, "the key %s names no bridge; write bridge.mqtt.NAME.KEY=VALUE", key)
		case !ok && isBridge:
			if end := strings.IndexAny(key, " \t:"); end >= 0 { // the rest may be a password
				key = key[:end]
			}
			return nil, nil, tree.Errorf(number, column, "the key %s has no value; write %s=VALUE", key, key)
		case !isBridge && (len(parts) < 2 || parts[0] != "bridge") && parts[0] != "url":
			continue // a setting of the broker
		case len(parts) > maxParts:
			return nil, nil, tree.Errorf(number, column, "the key has more than %d parts", maxParts)
		}
		text, note := typed(key, text)
		if note != "" && isBridge {
			notes = append(notes, draft.Finding{Kind: draft.Note, Line: number, Key: key, Text: note})
		}
		value := &tree.Value{Text: text, Line: number, Column: strings.Index(raw, "=") + 2}
		f := &tree.Field{Shown: key, Line: number, Column: column, Value: value}
		if !isBridge {
			root.Set(parts, f)
			continue
		}
		path := []string{"bridge", "mqtt"}
		if aws {
			path[1] = "aws"
		}
		rest := parts[2:]
		if settings.MatchString(rest[0]) {
			path = append(path, "bridge")
		} else {
			path, rest = append(path, rest[0]), rest[1:]
		}
		if len(rest) == 0 {
			return nil, nil, tree.Errorf(number, column, "the key %s ends with the name of a bridge; write bridge.mqtt.NAME.KEY=VALUE", key)
		}
		setLine(root, forwards, path, rest, f)
	}
	return root, notes, nil
}

// setLine sets a key of the bridge at path.
func setLine(root *tree.Value, lists map[string]*tree.Value, path, rest []string, f *tree.Field) {
	list := rest[0] == "forwards" || rest[0] == "subscription"
	switch {
	case list && len(rest) == 1: // topics with commas between them
		items := listOf(root, lists, path, rest[0], f)
		items.Items = append(items.Items, commas(f.Value).Items...)
		return
	case rest[0] == "hybrid_servers" || strings.HasPrefix(rest[0], "backup_"):
		f.Value = commas(f.Value)
	case rest[0] == "subscription" && rest[1] == "properties":
		rest = append([]string{"sub_properties"}, rest[2:]...)
	case list:
		setItem(root, lists, path, rest, f)
		return
	case rest[0] == "connect" && len(rest) > 2 && rest[1] == "properties":
		rest = append([]string{"conn_properties"}, rest[2:]...)
	case renamed[rest[0]] != "":
		rest = append([]string{renamed[rest[0]]}, rest[1:]...)
	}
	root.Set(append(path, rest...), f)
}

// listOf returns the list under a key of the bridge at path. f is the first line that has the key.
func listOf(root *tree.Value, lists map[string]*tree.Value, path []string, key string, f *tree.Field) *tree.Value {
	path = append(path[:len(path):len(path)], key)
	id := strings.Join(path, ".")
	if lists[id] == nil {
		lists[id] = &tree.Value{Kind: tree.List, Line: f.Line, Column: f.Column}
		shown, _, _ := strings.Cut(f.Shown, "."+key+".")
		root.Set(path, &tree.Field{Shown: strings.TrimSuffix(shown, "."+key) + "." + key, Line: f.Line, Column: f.Column, Value: lists[id]})
	}
	return lists[id]
}

// setItem sets a key of a numbered topic, such as forwards.1.local_topic.
func setItem(root *tree.Value, lists map[string]*tree.Value, path, rest []string, f *tree.Field) {
	list := listOf(root, lists, path, rest[0], f)
	id := strings.Join(append(path[:len(path):len(path)], rest[0]), ".")
	item := lists[id+"."+rest[1]]
	if item == nil {
		item = &tree.Value{Kind: tree.Object, Line: f.Line, Column: f.Column}
		lists[id+"."+rest[1]] = item
		list.Items = append(list.Items, item)
	}
	key := rest[2:]
	if len(key) == 0 {
		key = []string{"topic"}
	}
	item.Set(key, f)
}

// commas returns the list of the texts between commas.
func commas(v *tree.Value) *tree.Value {
	list := &tree.Value{Kind: tree.List, Line: v.Line, Column: v.Column}
	for text := range strings.SplitSeq(v.Text, ",") {
		if text = strings.TrimSpace(text); text != "" {
			list.Items = append(list.Items, &tree.Value{Text: text, Line: v.Line, Column: v.Column})
		}
	}
	return list
}
