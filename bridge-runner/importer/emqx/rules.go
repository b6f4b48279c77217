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

// engine is the rule engine: its rules that are on, by each of their actions, and by the topic of
// their SQL.
type engine struct{ byAction, byTopic map[string][]ruleOf }

func newEngine(root *tree.Value) engine {
	e := engine{map[string][]ruleOf{}, map[string][]ruleOf{}}
	f := root.Find("rule_engine", "rules")
	if f == nil {
		return e
	}
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
		for _, a := range actions(r.Value) {
			e.byAction[a.Text] = append(e.byAction[a.Text], rule)
		}
		e.byTopic[rule.from] = append(e.byTopic[rule.from], rule)
	}
	return e
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

const propertiesReason = "the bridge keeps the properties of messages, and adds only userProperties of a rule"

const sqlReason = `the bridge forwards messages as they are, and has no SQL; only SELECT * FROM "FILTER" is imported`

// egressOfRules adds a rule for each rule of the rule engine that has one of the names as an
// action. It reports whether there is one.
func (i importer) egressOfRules(p *draft.Reader, names []string) bool {
	found := false
	for _, name := range names {
		for _, r := range i.engine.byAction[name] {
			found = true
			if r.from == "" || r.from[0] == '$' {
				i.LeftOut(r.field.Line, r.name, sqlReason)
				continue
			}
			i.publish(true, r.from, p, remoteDefaults)
		}
	}
	return found
}

// ingressOfRules adds a rule for each rule of the rule engine that publishes the messages of a
// source again. names are the names of the source in SQL. It reports whether there is one.
func (i importer) ingressOfRules(filter string, names []string) bool {
	found := false
	for _, name := range names {
		for _, r := range i.engine.byTopic[name] {
			for _, a := range actions(r.field.Value) {
				function, args := a.Get("function"), a.Get("args")
				if function == nil || function.Value.Text != "republish" || args == nil {
					continue
				}
				found = true
				t := i.Reader(r.name+".actions.args", args.Value)
				republishProperties(t)
				i.publish(false, filter, t, republishDefaults)
			}
		}
	}
	return found
}

// republishProperties marks the properties of published messages as read that have the effect of
// the bridge, which keeps all properties.
func republishProperties(t *draft.Reader) {
	switch properties, _ := template(t, "user_properties", "${user_properties}"); properties {
	case "${user_properties}", "${pub_props.'User-Property'}":
	default:
		t.LeftOut("user_properties", propertiesReason)
	}
	if direct, ok := t.Text("direct_dispatch"); ok && direct != "false" {
		t.LeftOut("direct_dispatch", "EMQX then applies no rules to the message; the bridge publishes as a client, so that they apply")
	}
	if p := t.Object("mqtt_properties"); p != nil {
		p.Rest(map[string]string{"*": propertiesReason})
	}
}
