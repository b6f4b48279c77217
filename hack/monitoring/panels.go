// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "strings"

// prometheus is the data source that the user selects.
var prometheus = &reference{Type: "prometheus", UID: "${datasource}"}

// Units of Grafana.
const (
	unitNone       = "short"
	unitMessages   = "cps" // per second
	unitBytes      = "bytes"
	unitBytesPerS  = "Bps"
	unitSeconds    = "s"
	unitPercent    = "percentunit"
	unitProcessors = "none"
)

// columns is the width of a dashboard.
const columns = 24

// A layout places panels from the left to the right, in rows.
type layout struct {
	panels       []panel
	x, y, height int // of the next panel, and of the tallest panel of the present row of panels
}

// add places a panel.
func (l *layout) add(p panel, width, height int) {
	if l.x+width > columns {
		l.x, l.y, l.height = 0, l.y+l.height, 0
	}
	p.ID, p.GridPos = len(l.panels)+1, position{H: height, W: width, X: l.x, Y: l.y}
	l.panels = append(l.panels, p)
	l.x, l.height = l.x+width, max(l.height, height)
}

// row begins a row with a title.
func (l *layout) row(title string) {
	l.x, l.y, l.height = 0, l.y+l.height, 0
	l.add(panel{Type: "row", Title: title}, columns, 1)
}

// A query is an expression with the format of its legend.
type query struct{ expr, legend string }

func targets(queries []query, instant bool) []target {
	out := make([]target, len(queries))
	for i, q := range queries {
		out[i] = target{RefID: string(rune('A' + i)), Datasource: prometheus, Expr: q.expr, LegendFormat: q.legend, Instant: instant, Range: !instant}
	}
	return out
}

// graph adds a time series.
func (l *layout) graph(title, description, unit string, queries ...query) {
	zero := 0.0
	l.add(panel{
		Type: "timeseries", Title: title, Description: description, Datasource: prometheus, Targets: targets(queries, false),
		FieldConfig: &fieldConfig{
			Defaults:  fieldDefaults{Unit: unit, Min: &zero, Custom: map[string]any{"fillOpacity": 10, "showPoints": "never"}},
			Overrides: []any{},
		},
		Options: map[string]any{
			"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		},
	}, 12, 8)
}

// number adds a single value, which is red from limit on. If limit is 0, it has no colour.
func (l *layout) number(title, description, expr string, limit float64) {
	steps := []threshold{{Color: "text"}}
	if limit > 0 {
		steps = []threshold{{Color: "green"}, {Color: "red", Value: &limit}}
	}
	l.add(panel{
		Type: "stat", Title: title, Description: description, Datasource: prometheus, Targets: targets([]query{{expr, ""}}, true),
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{Unit: unitNone, Thresholds: &thresholds{"absolute", steps}}, Overrides: []any{}},
		Options: map[string]any{
			"colorMode": "value", "graphMode": "none", "textMode": "value",
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		},
	}, 4, 4)
}

// Meanings of the values of a timeline, with their colours.
func good(text string) mappedValue    { return mappedValue{text, "green"} }
func bad(text string) mappedValue     { return mappedValue{text, "red"} }
func neutral(text string) mappedValue { return mappedValue{text, "text"} }

// states adds a timeline of values that are 0 or 1.
func (l *layout) states(title, description string, zero, one mappedValue, queries ...query) {
	l.add(panel{
		Type: "state-timeline", Title: title, Description: description, Datasource: prometheus, Targets: targets(queries, false),
		FieldConfig: &fieldConfig{
			Defaults: fieldDefaults{
				Mappings: []mapping{{"value", map[string]mappedValue{"0": zero, "1": one}}},
				Custom:   map[string]any{"fillOpacity": 70, "lineWidth": 0},
			},
			Overrides: []any{},
		},
		Options: map[string]any{"mergeValues": true, "showValue": "auto", "rowHeight": 0.9, "legend": map[string]any{"showLegend": false}},
	}, 12, 6)
}

// table adds a table of the present values. columns are the labels to show, in their order.
func (l *layout) table(title, description, unit, value, expr string, columns ...string) {
	t := targets([]query{{expr, ""}}, true)
	t[0].Format = "table"
	hidden, order, names := map[string]any{"Time": true}, map[string]any{}, map[string]any{"Value": value}
	for i, c := range append(columns, "Value") {
		order[c] = i
	}
	l.add(panel{
		Type: "table", Title: title, Description: description, Datasource: prometheus, Targets: t,
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{Unit: unit}, Overrides: []any{}},
		Options:     map[string]any{"showHeader": true, "cellHeight": "sm"},
		Transformations: []transformation{
			{"organize", map[string]any{"excludeByName": hidden, "indexByName": order, "renameByName": names}},
		},
	}, 12, 8)
}

// datasource lets the user select the Prometheus.
func datasource() variable {
	return variable{Type: "datasource", Name: "datasource", Label: "Data source", Query: "prometheus"}
}

// values lets the user select values of a label.
func values(name, label, from string, all bool) variable {
	definition := "label_values(" + from + ", " + name + ")"
	v := variable{
		Type: "query", Name: name, Label: label, Query: variableQuery{definition, "Variable-" + name}, Definition: definition,
		Datasource: prometheus, Refresh: 2, IncludeAll: all, Multi: all, Sort: 1,
	}
	if all {
		v.AllValue = ".*"
	}
	return v
}

// newDashboard returns a dashboard without panels.
func newDashboard(uid, title, description string, variables ...variable) dashboard {
	return dashboard{
		UID: uid, Title: title, Description: description, Tags: []string{"mqttbridge"}, SchemaVersion: 39, Editable: true, GraphTooltip: 1,
		Refresh: "30s", Time: timeRange{"now-6h", "now"}, Timezone: "browser",
		Templating: templating{append([]variable{datasource()}, variables...)},
		Links:      []link{{Title: "MQTT bridges", Type: "dashboards", Tags: []string{"mqttbridge"}, IncludeVars: true, KeepTime: true}},
	}
}

// quantile returns the query of a quantile of a histogram, for each value of the labels.
func quantile(q, metric, selector string, by ...string) string {
	return "histogram_quantile(" + q + ", sum by (" + strings.Join(append(by, "le"), ", ") + ") (rate(" + metric + "_bucket" + selector + "[$__rate_interval])))"
}
