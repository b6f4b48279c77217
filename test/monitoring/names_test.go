// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"slices"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// targetLabels are the labels that Prometheus adds to the series of a pod, with the relabeling of
// the PodMonitor for the bridge.
var targetLabels = []string{"namespace", "bridge", "pod", "container", "instance", "job"}

// labelsOf returns the labels that the series of a metric can have. ok is false if the list has no
// such metric.
func labelsOf(series string) (names []string, ok bool) {
	family := familyOf(series)
	for _, m := range metriclist.All() {
		if m.Name != family {
			continue
		}
		names = append(slices.Clone(m.Labels), targetLabels...)
		if m.Type == metriclist.Histogram {
			names = append(names, "le")
		}
		return names, series != family || m.Type != metriclist.Histogram
	}
	for _, m := range metriclist.Others {
		if m.Name == family {
			names = append(slices.Clone(m.Labels), targetLabels...)
			if m.Type == metriclist.Histogram {
				names = append(names, "le")
			}
			return names, series != family || m.Type != metriclist.Histogram
		}
	}
	return nil, false
}

// checkQuery fails the test if a query is not valid, or names a metric or a label that does not
// exist.
func checkQuery(t *testing.T, where, query string) {
	t.Helper()
	for _, problem := range problems(query) {
		t.Errorf("%s: %s: %s", where, problem, query)
	}
}

func problems(query string) (out []string) {
	expr, err := strict.ParseExpr(query)
	if err != nil {
		return []string{err.Error()}
	}
	check := func(within parser.Node, names []string) {
		for _, s := range selectors(within) {
			known, ok := labelsOf(s.Name)
			for _, name := range names {
				if ok && name != model.MetricNameLabel && !slices.Contains(known, name) {
					out = append(out, s.Name+" has no label "+name)
				}
			}
		}
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			if _, ok := labelsOf(n.Name); !ok {
				out = append(out, "there is no metric "+n.Name)
			}
			for _, m := range n.LabelMatchers {
				check(n, []string{m.Name})
			}
		case *parser.AggregateExpr:
			added := addedLabels(n)
			check(n, slices.DeleteFunc(slices.Clone(n.Grouping), func(name string) bool { return slices.Contains(added, name) }))
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				check(n.LHS, n.VectorMatching.MatchingLabels)
				check(n.RHS, n.VectorMatching.MatchingLabels)
				check(oneSide(n), n.VectorMatching.Include)
			}
		}
		return nil
	})
	return out
}

// oneSide returns the side of a group_left or group_right that has one series for each group, and
// whose labels the result also has.
func oneSide(n *parser.BinaryExpr) parser.Node {
	if n.VectorMatching.Card == parser.CardOneToMany {
		return n.LHS
	}
	return n.RHS
}

// addedLabels returns the labels that group_left and group_right add in an expression.
func addedLabels(within parser.Node) (names []string) {
	parser.Inspect(within, func(node parser.Node, _ []parser.Node) error {
		if n, ok := node.(*parser.BinaryExpr); ok && n.VectorMatching != nil {
			names = append(names, n.VectorMatching.Include...)
		}
		return nil
	})
	return names
}

// selectors returns the selectors from which the labels of a result come: the operators "and" and
// "unless" return series of their left side.
func selectors(within parser.Node) (all []*parser.VectorSelector) {
	switch n := within.(type) {
	case *parser.VectorSelector:
		return []*parser.VectorSelector{n}
	case *parser.BinaryExpr:
		if n.Op == parser.LAND || n.Op == parser.LUNLESS {
			return selectors(n.LHS)
		}
	}
	for child := range parser.ChildrenIter(within) {
		all = append(all, selectors(child)...)
	}
	return all
}

func TestCheckQuery_LabelOfAnotherMetric_IsFound(t *testing.T) {
	for query, want := range map[string]bool{
		`sum by (direction) (rate(mqttbridge_messages_forwarded_total[5m]))`:                             true,
		`sum by (side) (rate(mqttbridge_messages_forwarded_total[5m]))`:                                  false,
		`mqttbridge_connected{server="a"}`:                                                               false,
		`mqttbridge_connections`:                                                                         false,
		`mqttbridge_forwarding_latency_seconds`:                                                          false,
		`mqttbridge_forwarding_latency_seconds_bucket{le="1"}`:                                           true,
		`mqttbridge_connected{`:                                                                          false,
		`sum by (side) (mqttbridge_connected and on (pod) mqttbridge_build_info)`:                        true,
		`sum by (version) (mqttbridge_connected and on (pod) mqttbridge_build_info)`:                     false,
		`sum by (version) (mqttbridge_connected * on (pod) group_left (version) mqttbridge_build_info)`:  true,
		`sum by (revision) (mqttbridge_connected * on (pod) group_left (version) mqttbridge_build_info)`: false,
		`mqttbridge_build_info * on (pod) group_left (version) mqttbridge_connected`:                     false,
	} {
		if found := problems(query); (len(found) == 0) != want {
			t.Errorf("%s: the problems are %q", query, found)
		}
	}
}

// listed returns the names of all metrics of the project.
func listed() (names []string) {
	for _, m := range metriclist.All() {
		names = append(names, m.Name)
	}
	return names
}
