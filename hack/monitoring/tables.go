// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// tableMarks are the comments around a generated table of docs/monitoring.md.
var tableMarks = regexp.MustCompile(`(?s)<!-- table: ([a-z]+) -->\n.*?<!-- end of table -->`)

// writeTables writes the tables of docs/monitoring.md.
func writeTables() error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	var unknown error
	text := tableMarks.ReplaceAllStringFunc(string(old), func(found string) string {
		name := tableMarks.FindStringSubmatch(found)[1]
		table := metricTable(metriclist.Set(name))
		if name == "alerts" {
			table = alertTable()
		}
		if table == "" {
			unknown = fmt.Errorf("%s has a mark for the table %q, which does not exist", page, name)
		}
		return fmt.Sprintf("<!-- table: %s -->\n\n%s\n<!-- end of table -->", name, table)
	})
	if unknown != nil {
		return unknown
	}
	return writeFile(page, []byte(text))
}

// metricTable returns the table of a set of metrics, empty if there is no such set.
func metricTable(set metriclist.Set) string {
	metrics := metriclist.Of(set)
	if len(metrics) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metrics {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.Labels, ", "), m.Help)
	}
	return b.String()
}

func alertTable() string {
	var b strings.Builder
	b.WriteString("| alert | severity | after | condition |\n|---|---|---|---|\n")
	for _, g := range ruleGroups() {
		for _, a := range g.Rules {
			fmt.Fprintf(&b, "| [%s](runbooks/%s.md) | %s | %s | `%s` |\n", a.Alert, a.Alert, a.Labels["severity"], cmp.Or(a.For, "at once"), a.Expr)
		}
	}
	return b.String()
}
