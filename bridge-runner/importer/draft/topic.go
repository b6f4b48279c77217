// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package draft

import (
	"fmt"
	"regexp"
	"strings"
)

// variable matches the texts that a topic template treats as placeholders by mistake.
var variable = regexp.MustCompile(`[$](\d|topic)|[$]{2}|[$]$`)

// Literal returns text for the topic of a rule, in which no character has a special meaning, or
// an error if there is no such text.
func Literal(text string) (string, error) {
	switch {
	case strings.ContainsAny(text, "+#"):
		return "", fmt.Errorf("the topic %q has a wildcard, but messages are published under it", text)
	case strings.ContainsAny(text, "{}"), variable.MatchString(text):
		return "", fmt.Errorf("the topic %q has characters that topic templates reserve: braces, or a $ before a digit, before the word topic, before another $ or at the end", text)
	}
	return text, nil
}

// Template returns the topic of a rule that replaces the prefix from of the topic by the prefix
// to: the filter is from and pattern. No prefix may have a wildcard, as in Mosquitto: the placeholders
// count the wildcards of the pattern only.
func Template(from, to, pattern string) (string, error) {
	if strings.ContainsAny(from, "+#") {
		return "", fmt.Errorf("the prefix %q has a wildcard; write the wildcard into the topic, and only the text before it into the prefix", from)
	}
	if from == to {
		return "", nil
	}
	head, err := Literal(to)
	if err != nil {
		return "", err
	}
	n := 0
	levels := strings.Split(pattern, "/")
	for i, level := range levels {
		if level == "+" || level == "#" {
			n++
			levels[i] = fmt.Sprintf("${%d}", n)
		} else if levels[i], err = Literal(level); err != nil {
			return "", err
		}
	}
	topic := head + strings.Join(levels, "/")
	if _, err := Literal(strings.NewReplacer("${", "", "}", "").Replace(topic)); err != nil {
		return "", err
	}
	return topic, nil
}

// Remap returns the topic of a rule whose filter is filter, and whose wanted topic is target: each
// + and # of target stands for the text that the + or # of the filter matches.
func Remap(filter, target string) (string, error) {
	places := map[string][]int{}
	n := 0
	for level := range strings.SplitSeq(filter, "/") {
		if level == "+" || level == "#" {
			n++
			places[level] = append(places[level], n)
		}
	}
	wanted := map[string]int{}
	for level := range strings.SplitSeq(target, "/") {
		if level == "+" || level == "#" {
			wanted[level]++
		}
	}
	levels := strings.Split(target, "/")
	for i, level := range levels {
		if level != "+" && level != "#" {
			text, err := Literal(level)
			if err != nil {
				return "", err
			}
			levels[i] = text
			continue
		}
		if wanted[level] != len(places[level]) {
			return "", fmt.Errorf("the topic %q has %d of the wildcard %s and the filter %q has %d, so it is not clear which text each one stands for", target, wanted[level], level, filter, len(places[level]))
		}
		levels[i] = fmt.Sprintf("${%d}", places[level][0])
		places[level] = places[level][1:]
		wanted[level]--
	}
	return strings.Join(levels, "/"), nil
}

// Affixed returns a topic with a prefix and a suffix. An empty topic is the topic of the message.
func Affixed(prefix, topic, suffix string) (string, error) {
	head, err := Literal(prefix)
	if err != nil {
		return "", err
	}
	tail, err := Literal(suffix)
	if err != nil {
		return "", err
	}
	if topic == "" {
		topic = "${topic}"
	}
	if out := head + topic + tail; out != "${topic}" {
		return out, nil
	}
	return "", nil
}
