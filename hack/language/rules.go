// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"regexp"
)

// rule is a construction to avoid.
type rule struct {
	// pattern matches lower-case text. It is nil if the rule applies to names.
	pattern *regexp.Regexp
	// instead is the replacement that a finding proposes.
	instead string
}

var rules = []rule{
	{word(`where (?:it|the|a|an|there|they|nothing|no|that|this|two|its|one|all|some|none|any|these|those|both|another)`), `use "if" or "when"; "where" is for places: "the directory that holds the log"`},
	{word(`(?:what|whatever) (?:is|was|it|the|they|comes|came|a|an|one|has|had|waits|stands|becomes|no|nothing|else|can|may|goes|happened to|belongs)`), `name the thing: "the messages in flight", not "what is in flight"`},
	{word(`(?:one|ones) (?:that|which)`), `repeat the noun: "a server that"`},
	{word(`(?:that|those) of`), `use the possessive or repeat the noun: "the server's"`},
	{word(`of which`), `use "whose" or a second sentence`},
	{word(`so many`), `say how many`},
	{word(`heeds?|heeded`), `use "apply" or "respect"`},
	{word(`anew`), `use "again"`},
	{word(`seldom`), `use "rarely"`},
	{word(`for good`), `use "permanently"`},
	{word(`of late`), `use "recently"`},
	{word(`by chance`), `use "randomly"`},
	{word(`(?:is|are|was|were) told|told of`), `use "is notified" or "receives"`},
	{word(`go(?:es)? over`), `use "is forwarded"`},
	{word(`takes? for|taken for`), `use "treat as"`},
	{word(`mind the`), `use "respect"`},
	{word(`nobody`), `use "no one", or name the subject`},
	{word(`whoever`), `name the subject`},
	{word(`in vain`), `use "without success", or say that it fails`},
	{word(`for want of`), `use "because there is no"`},
	{word(`for ever`), `use "permanently" or "forever"`},
	{word(`thrice`), `use "three times"`},
	{word(`lest`), `use "so that ... not"`},
}

var (
	testName     = &rule{instead: `use the form TestSubject_Situation_Result, so that "go test -run Subject" finds the test`}
	fieldComment = &rule{instead: `start the comment of a field with its name, or leave an empty line below a comment on several fields`}
)

// word returns a pattern that matches the alternatives as whole words.
func word(alternatives string) *regexp.Regexp {
	return regexp.MustCompile(`\b(?:` + alternatives + `)\b`)
}

// finding is a match of a rule.
type finding struct {
	path string
	line int
	text string // the matched text or the name
	rule *rule
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %q: %s", f.path, f.line, f.text, f.rule.instead)
}

// place returns the line and the text.
func (f finding) place() string { return fmt.Sprintf("%d %s", f.line, f.text) }

func (f finding) compare(other finding) int {
	return cmp.Or(cmp.Compare(f.path, other.path), cmp.Compare(f.line, other.line))
}
