// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mosquitto

import (
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// topics reads the topics of a connection:
//
//	topic PATTERN [out|in|both] [QOS] [LOCAL_PREFIX REMOTE_PREFIX]
func (i importer) topics(r *draft.Reader) {
	for _, item := range r.Items("topic") {
		t, err := parseTopic(item)
		if err != nil {
			i.Fail(err.Line, err.Column, "%s", err.Message)
			continue
		}
		if t.pattern == "" && (t.local == "" || t.remote == "") {
			i.Fail(item.Line, item.Column, `the topic "" needs a local and a remote prefix, which are then the topics`)
			continue
		}
		if t.out {
			i.rule(true, item.Line, t, t.local, t.remote)
		}
		if t.in {
			i.rule(false, item.Line, t, t.remote, t.local)
		}
	}
}

// rule adds the rule that replaces the prefix from by the prefix to.
func (i importer) rule(out bool, line int, t topicOption, from, to string) {
	topic, err := draft.Template(from, to, t.pattern)
	if err != nil {
		i.LeftOut(line, "topic", "%v", err)
		return
	}
	i.AddRule(out, line, "topic", v1alpha1.Rule{Filter: from + t.pattern, Topic: topic, QoS: ptr.To(t.qos)})
}

// topicOption is an option topic.
type topicOption struct {
	pattern       string
	out, in       bool
	qos           int32
	local, remote string
}

// parseTopic reads the value of an option topic. A word that begins with # ends the option, because
// it begins a comment; only the pattern may begin with #.
func parseTopic(v *tree.Value) (topicOption, *tree.Error) {
	t := topicOption{out: true}
	rest := v.Text
	column := func(word string) int { return v.Column + strings.LastIndex(v.Text, word+rest) }
	word := func() string {
		rest = strings.TrimLeft(rest, " \t")
		end := strings.IndexAny(rest, " \t")
		if end < 0 {
			end = len(rest)
		}
		w := rest[:end]
		rest = rest[end:]
		return w
	}
	if strings.HasPrefix(rest, `"`) {
		closing := strings.IndexByte(rest[1:], '"')
		if closing < 0 {
			return t, tree.Errorf(v.Line, v.Column, "the topic has no closing quote")
		}
		t.pattern, rest = rest[1:closing+1], rest[closing+2:]
	} else {
		t.pattern = word()
	}
	words := make([]string, 0, 4)
	columns := make([]int, 0, 4)
	for w := word(); w != "" && w[0] != '#' && len(words) < 5; w = word() {
		words, columns = append(words, w), append(columns, column(w))
	}
	if len(words) > 0 {
		switch strings.ToLower(words[0]) {
		case "out":
		case "in":
			t.out, t.in = false, true
		case "both":
			t.in = true
		default:
			return t, tree.Errorf(v.Line, columns[0], "the direction of a topic is out, in or both, not %q", words[0])
		}
	}
	if len(words) > 1 {
		qos, err := strconv.ParseInt(words[1], 10, 32)
		if err != nil || qos < 0 || qos > 2 {
			return t, tree.Errorf(v.Line, columns[1], "the QoS of a topic is 0, 1 or 2, not %q", words[1])
		}
		t.qos = int32(qos)
	}
	if len(words) > 2 {
		t.local = unquoted(words[2])
	}
	if len(words) > 3 {
		t.remote = unquoted(words[3])
	}
	if len(words) > 4 {
		return t, tree.Errorf(v.Line, columns[4], "a topic has at most a direction, a QoS and two prefixes; %q is one word too many", words[4])
	}
	return t, nil
}

// unquoted returns a prefix: two quotes are an empty prefix.
func unquoted(word string) string {
	if word == `""` {
		return ""
	}
	return word
}
