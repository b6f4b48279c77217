// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// legendLabel is a label in the legend format of a query.
var legendLabel = regexp.MustCompile(`\{\{([a-z_]+)\}\}`)

// A curve is a series of a panel, with the name that the legend shows.
type curve struct {
	name   string
	points []promql.FPoint // without NaN
}

// A result is the data of a panel: curves of a time series or a timeline, the cells of a table, or
// the number of a stat.
type result struct {
	curves  []curve
	columns []string
	rows    [][]string
	number  string
	color   string // of the number
}

// empty reports whether the panel has no data.
func (r *result) empty() bool { return len(r.curves) == 0 && len(r.rows) == 0 && r.number == "" }

// evaluate runs the queries of a panel as Grafana does, over the whole history. problems are the
// faults that a reader of the dashboard would see.
func (h *history) evaluate(d *dashboard, p panel, selected map[string]string) (r result, problems []string) {
	h.t.Helper()
	for _, target := range p.Targets {
		query, _ := d.expand(target.Expr, selected)
		switch p.Type {
		case "timeseries", "state-timeline":
			for _, s := range h.over(query, scrapeInterval) {
				name, missing := legend(target.LegendFormat, s.Metric)
				for _, label := range missing {
					problems = append(problems, fmt.Sprintf("the legend %s names the label %s, and the result has %s", target.LegendFormat, label, s.Metric))
				}
				points := slices.DeleteFunc(s.Floats, func(p promql.FPoint) bool { return math.IsNaN(p.F) })
				if len(points) > 0 {
					r.curves = append(r.curves, curve{name, points})
				}
			}
		case "table":
			columns, rows, found := p.table(h.instant(query, h.last()))
			r.columns, r.rows, problems = columns, append(r.rows, rows...), append(problems, found...)
		case "stat":
			for _, s := range h.instant(query, h.last()) {
				r.number, r.color = formatValue(p.FieldConfig.Defaults.Unit, s.F), p.color(s.F)
			}
		}
	}
	problems = append(problems, p.check(&r)...)
	return r, problems
}

// check returns the faults of the data of a panel.
func (p panel) check(r *result) (problems []string) {
	if r.empty() && p.Type != "row" {
		return []string{"there is no data"}
	}
	names := map[string]bool{}
	for _, c := range r.curves {
		if names[c.name] {
			problems = append(problems, fmt.Sprintf("two series have the name %q", c.name))
		}
		names[c.name] = true
		if p.Type != "state-timeline" {
			continue
		}
		for _, point := range c.points {
			if _, color, ok := p.state(point.F); !ok || namedColors[color] == "" {
				problems = append(problems, fmt.Sprintf("the value %v of %s has no text or no color", point.F, c.name))
			}
		}
	}
	return problems
}

// legend returns the name of a series. missing are labels of the format that the series does not
// have: Grafana then shows their names.
func legend(format string, metric labels.Labels) (name string, missing []string) {
	name = legendLabel.ReplaceAllStringFunc(format, func(found string) string {
		label := strings.Trim(found, "{}")
		if !metric.Has(label) {
			missing = append(missing, label)
		}
		return cmp.Or(metric.Get(label), label)
	})
	return cmp.Or(name, metric.String()), missing
}

// table returns the cells of a table. problems are labels of the result that are no columns of the
// panel: Grafana would show them, too.
func (p panel) table(samples promql.Vector) (columns []string, rows [][]string, problems []string) {
	if len(p.Transformations) != 1 {
		return nil, nil, []string{"the columns of the table are not specified"}
	}
	options := p.Transformations[0].Options
	names := slices.SortedFunc(maps.Keys(options.IndexByName), func(a, b string) int {
		return options.IndexByName[a] - options.IndexByName[b]
	})
	for _, name := range names {
		columns = append(columns, cmp.Or(options.RenameByName[name], name))
	}
	for _, s := range samples {
		s.Metric.Range(func(l labels.Label) {
			if !slices.Contains(names, l.Name) {
				problems = append(problems, "the table has the column "+l.Name+", which the dashboard does not name")
			}
		})
		row := make([]string, len(names))
		for i, name := range names {
			row[i] = s.Metric.Get(name)
			if name == "Value" {
				row[i] = formatValue(p.FieldConfig.Defaults.Unit, s.F)
			}
		}
		rows = append(rows, row)
	}
	return columns, rows, problems
}

// state returns the text and the color of a value of a timeline.
func (p panel) state(value float64) (text, color string, ok bool) {
	for _, m := range p.FieldConfig.Defaults.Mappings {
		if mapped, ok := m.Options[fmt.Sprint(value)]; ok {
			return mapped.Text, mapped.Color, true
		}
	}
	return fmt.Sprint(value), "text", false
}

// color returns the color of a value according to the thresholds.
func (p panel) color(value float64) (color string) {
	for _, s := range p.FieldConfig.Defaults.Thresholds.Steps {
		if s.Value == nil || value >= *s.Value {
			color = s.Color
		}
	}
	return color
}

func TestPanel_FaultsOfItsData_AreFound(t *testing.T) {
	h := newHistory(t)
	h.stay(scrapeInterval, parse(t, []byte("up{pod=\"a\",side=\"x\"} 1\nup{pod=\"b\",side=\"x\"} 2\n")))
	for name, tt := range map[string]struct{ kind, query, legend, want string }{
		"complete":             {"timeseries", "up", "{{pod}}", ""},
		"no series":            {"timeseries", "down", "{{pod}}", "there is no data"},
		"only NaN":             {"timeseries", "up / 0 - up / 0", "{{pod}}", "there is no data"},
		"missing label":        {"timeseries", "up", "{{pod}} {{server}}", "names the label server"},
		"two equal names":      {"timeseries", "up", "{{side}}", "two series have the name"},
		"state without a text": {"state-timeline", "up", "{{pod}}", "the value 2 of b has no text"},
		"unknown column":       {"table", "sum by (pod, side) (up)", "", "has the column side"},
		"no rows":              {"table", "sum by (pod) (down)", "", "there is no data"},
		"columns of the table": {"table", "sum by (pod) (up)", "", ""},
	} {
		p := panel{Type: tt.kind}
		decode(t, `{"Targets": [{}], "FieldConfig": {"Defaults": {"Mappings": [{"Options": {"1": {"Text": "yes", "Color": "green"}}}]}},
			"Transformations": [{"Options": {"IndexByName": {"pod": 0, "Value": 1}}}]}`, &p)
		p.Targets[0].Expr, p.Targets[0].LegendFormat = tt.query, tt.legend
		_, problems := h.evaluate(&dashboard{}, p, nil)
		if found := strings.Join(problems, "\n"); (found == "") != (tt.want == "") || !strings.Contains(found, tt.want) {
			t.Errorf("%s: the problems are %q, want %q", name, problems, tt.want)
		}
	}
}
