// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

const dashboardFiles = "charts/mqttbridge-operator/files/dashboards/*.json"

// A dashboard is the part of Grafana's JSON model that the tests read.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name, Label, Type string
			Query             json.RawMessage
		}
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ UID string }
	Targets                  []struct {
		Expr, LegendFormat, RefID string
		Instant                   bool
	}
	FieldConfig struct {
		Defaults struct {
			Unit     string
			Mappings []struct {
				Options map[string]struct{ Text, Color string }
			}
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
	}
	Transformations []struct {
		Options struct {
			IndexByName  map[string]int
			RenameByName map[string]string
		}
	}
}

// dashboards returns the dashboards by their UIDs.
func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dashboardFiles))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	out := map[string]dashboard{}
	for _, file := range files {
		var d dashboard
		if err := json.Unmarshal(read(t, strings.TrimPrefix(file, root)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d.UID+".json" != filepath.Base(file) {
			t.Errorf("%s has the UID %q", file, d.UID)
		}
		out[d.UID] = d
	}
	return out
}

// The variables of Grafana that the queries use, and values for them.
var grafanaVariable = regexp.MustCompile(`\$\{?([a-z_]+)\}?`)

// expand replaces the variables of Grafana in a query. unknown are variables that the dashboard
// does not have.
func (d *dashboard) expand(query string, selected map[string]string) (expanded string, unknown []string) {
	known := map[string]string{"__rate_interval": "2m", "__interval": "30s", "__range": "6h"}
	for _, v := range d.Templating.List {
		known[v.Name] = selected[v.Name]
	}
	expanded = grafanaVariable.ReplaceAllStringFunc(query, func(found string) string {
		name := grafanaVariable.FindStringSubmatch(found)[1]
		value, ok := known[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return value
	})
	return expanded, unknown
}

// labelValues is the query of a variable: the values of a label.
var labelValues = regexp.MustCompile(`label_values\((.+), ([a-z]+)\)`)

func TestDashboards_Queries_NameExistingMetricsAndLabels(t *testing.T) {
	for uid, d := range dashboards(t) {
		for _, p := range d.Panels {
			where := uid + ": " + p.Title
			for _, target := range p.Targets {
				query, unknown := d.expand(target.Expr, map[string]string{"namespace": "plant", "bridge": "press"})
				if len(unknown) > 0 {
					t.Errorf("%s: unknown variables %v in %s", where, unknown, target.Expr)
				}
				checkQuery(t, where, query)
			}
		}
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			found := labelValues.FindStringSubmatch(string(v.Query))
			if found == nil {
				t.Errorf("%s: the variable %s has the query %s", uid, v.Name, v.Query)
				continue
			}
			selector, _ := d.expand(strings.ReplaceAll(found[1], `\"`, `"`), map[string]string{"namespace": "plant"})
			checkQuery(t, uid+": variable "+v.Name, "count by ("+found[2]+") ("+selector+")")
		}
	}
}

func TestDashboards_Panels_DoNotOverlap(t *testing.T) {
	for uid, d := range dashboards(t) {
		ids, used := map[int]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the ID %d", uid, p.ID)
			}
			ids[p.ID] = true
			if p.Type != "row" && (p.Datasource.UID != "${datasource}" || len(p.Targets) == 0) {
				t.Errorf("%s: %s has the data source %q and %d queries", uid, p.Title, p.Datasource.UID, len(p.Targets))
			}
			if p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: %s is wider than the dashboard", uid, p.Title)
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if other := used[cell]; other != "" {
						t.Fatalf("%s: %s overlaps %s", uid, p.Title, other)
					}
					used[cell] = p.Title
				}
			}
		}
	}
}

// possibleValues are the labels whose values the programs know in advance. Most of their series are 0 all the time.
var possibleValues = []string{"cause", "code", "kind", "reason", "result"}

var groupedBy = regexp.MustCompile(`^(?:topk\(10, )?sum by \(([a-z, ]+)\) \((?:rate|increase)\(`)

// Many lines at 0 would hide the few events, and fill the legend.
func TestDashboards_GraphsOfEvents_LeaveZeroSeriesOut(t *testing.T) {
	checked := 0
	for uid, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				found := groupedBy.FindStringSubmatch(target.Expr)
				if p.Type != "timeseries" || found == nil {
					continue
				}
				isKind := func(label string) bool { return slices.Contains(possibleValues, label) }
				if !slices.ContainsFunc(strings.Split(found[1], ", "), isKind) {
					continue
				}
				checked++
				if !strings.HasSuffix(target.Expr, " > 0") {
					t.Errorf("%s: %s shows series that are 0: %s", uid, p.Title, target.Expr)
				}
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d queries were checked", checked)
	}
}

// eventful returns a history in which a bridge loses its servers and recovers, a runner takes over
// from another one, and the operator sees a bridge that is not ready.
func eventful(t *testing.T) *history {
	t.Helper()
	h, w := newHistory(t), healthy(t)
	w.runner, w.operator = w.outage("1-connected"), beforeTheFirstPass(w.operator)
	h.stay(10*time.Minute, w.targets()...)
	for _, recording := range []string{"2-forwarding", "3-on-the-backup", "4-no-server", "5-backlog"} {
		h.grow(2*time.Minute, w, &w.runner, w.outage(recording))
		h.stay(8*time.Minute, w.targets()...)
	}
	h.grow(2*time.Minute, w, &w.runner, rareEvents(t, w.outage("6-recovered")))
	h.stay(8*time.Minute, w.targets()...)
	w.first, w.second = nil, w.member("2-second", "pair-bridge-2")
	recorded := in(load(t, "operator/1-running"), "pod", "operator-1", "job", "operator")
	h.grow(5*time.Minute, w, &w.operator, with(t, recorded, 2, "mqttbridge_bridge_active_server_place", "side", "remote"))
	h.stay(5*time.Minute, w.targets()...)
	return h
}

// rareEvents adds events that the recorded runner has not seen: the remote server has violated the protocol, and the
// receiver of spans has refused some.
func rareEvents(t *testing.T, runner []sample) []sample {
	t.Helper()
	runner = with(t, runner, 3, "mqttbridge_protocol_faults_total", "kind", "topic", "side", "remote")
	return with(t, runner, 4, "mqttbridge_spans_dropped_total", "cause", "export_failed")
}

// beforeTheFirstPass sets the counts of passes and of requests to the API server to 0.
func beforeTheFirstPass(operator []sample) []sample {
	out := slices.Clone(operator)
	for i := range out {
		if name := out[i].labels.Get(model.MetricNameLabel); strings.HasPrefix(name, "controller_runtime_") || strings.HasPrefix(name, "rest_client_") {
			out[i].value = 0
		}
	}
	return out
}

// returnsData reports whether a query has a value other than NaN at any time of a history.
func (h *history) returnsData(query string) bool {
	h.t.Helper()
	return slices.ContainsFunc(h.over(query, time.Minute), func(s promql.Series) bool {
		return slices.ContainsFunc(s.Floats, func(p promql.FPoint) bool { return !math.IsNaN(p.F) })
	})
}

func TestDashboards_EachQuery_ReturnsData(t *testing.T) {
	h := eventful(t)
	for uid, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				found := false
				for _, selected := range []map[string]string{
					{"namespace": ".*"}, {"namespace": "plant", "bridge": "press"}, {"namespace": "plant", "bridge": "pair"}, {"namespace": "default", "bridge": "recorded"},
				} {
					query, _ := d.expand(target.Expr, selected)
					found = found || h.returnsData(query)
				}
				if !found {
					t.Errorf("%s: %s: %s returns no data", uid, p.Title, target.Expr)
				}
				for _, label := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
					if !strings.Contains(target.Expr, label[1]) && label[1] != "pod" {
						t.Errorf("%s: %s: the legend names %s, and the query does not: %s", uid, p.Title, label[1], target.Expr)
					}
				}
			}
		}
	}
}

// shown returns the metrics that the dashboards and the rules use.
func shown(t *testing.T) map[string]bool {
	t.Helper()
	name := regexp.MustCompile(`[a-z]+_[a-z_]+`)
	out := map[string]bool{}
	add := func(query string) {
		for _, found := range name.FindAllString(query, -1) {
			out[familyOf(found)] = true
		}
	}
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				add(target.Expr)
			}
		}
	}
	for _, r := range rules(t) {
		add(r.Expr)
	}
	return out
}

func TestDashboards_AllMetricsOfTheList_AreUsed(t *testing.T) {
	// Numbers of a process with many bridges, which runs outside a cluster. docs/monitoring.md
	// describes them.
	unused := []string{"mqttbridge_bridges", "mqttbridge_refused_manifests"}
	used := shown(t)
	var got []string
	for _, m := range listed() {
		if !used[m] {
			got = append(got, m)
		}
	}
	for _, m := range metriclist.Others {
		if !used[m.Name] {
			t.Errorf("no dashboard and no rule uses %s", m.Name)
		}
	}
	if !slices.Equal(got, unused) {
		t.Errorf("no dashboard and no rule uses %v, want %v; used are %v", got, unused, slices.Sorted(maps.Keys(used)))
	}
}
