// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package emqx

import (
	"regexp"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// selectAll matches the SQL of rules that forward messages as they are.
var selectAll = regexp.MustCompile(`(?is)^\s*select\s+\*\s+from\s+["']([^"']+)["']\s*;?\s*$`)

// ruleOf is a rule of the rule engine that uses an action or source.
type ruleOf struct {
	name  string
	field *tree.Field
	from  string // the topic of the SQL, or empty if the SQL does more
}

// rules returns the rules of the rule engine that are on.
func (i importer) rules() []ruleOf {
	f := i.root.Find("rule_engine", "rules")
	if f == nil {
		return nil
	}
	var out []ruleOf
	for _, r := range f.Value.Fields {
		if on := r.Value.Get("enable"); on != nil && on.Value.Text == "false" {
			continue
		}
		rule := ruleOf{name: "rule_engine.rules." + r.Key, field: r}
		if sql := r.Value.Get("sql"); sql != nil {
			if m := selectAll.FindStringSubmatch(sql.Value.Text); m != nil {
				rule.from = m[1]
			}
			rule.field.Line = sql.Line
		}
		out = append(out, rule)
	}
	return out
}

// actions returns the actions of a rule.
func actions(rule *tree.Value) []*tree.Value {
	f := rule.Get("actions")
	switch {
	case f == nil:
		return nil
	case f.Value.Kind == tree.List:
		return f.Value.Items
	}
	return []*tree.Value{f.Value}
}

const sqlReason = `the bridge forwards messages as they are, and has no SQL; only SELECT * FROM "FILTER" is imported`

// egressOfRules adds a rule for each rule of the rule engine that sends messages to an action.
func (i importer) egressOfRules(key, action, other string, line int, p *draft.Reader) {
	found := false
	for _, r := range i.rules() {
		for _, a := range actions(r.field.Value) {
			if a.Text != action && a.Text != other {
				continue
			}
			found = true
			if r.from == "" || r.from[0] == '$' {
				i.LeftOut(r.field.Line, r.name, sqlReason)
				continue
			}
			i.publish(true, r.from, p)
		}
	}
	if !found {
		i.LeftOut(line, key, "it has no local topic, and no rule in this file sends messages to it; put its rules into the same file")
	}
}

// sourceOfRules adds a rule for each rule of the rule engine that publishes the messages of a
// source again. names are the names of the source in SQL.
func (i importer) sourceOfRules(filter string, line int, key string, names []string) {
	found := false
	for _, r := range i.rules() {
		for _, name := range names {
			if r.from != name {
				continue
			}
			for _, a := range actions(r.field.Value) {
				function, args := a.Get("function"), a.Get("args")
				if function == nil || function.Value.Text != "republish" || args == nil {
					continue
				}
				found = true
				t := i.Reader(r.name+".actions.args", args.Value)
				t.Skip("mqtt_properties", "user_properties", "direct_dispatch")
				i.publish(false, filter, t)
			}
		}
	}
	if !found {
		i.LeftOut(line, key, "the messages of %s are not published on this broker: it has no local topic, and no rule in this file publishes them again (SELECT * FROM \"%s\" with the action republish)", filter, names[0])
	}
}
