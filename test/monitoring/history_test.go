// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/util/teststorage"
)

const (
	scrapeInterval = 30 * time.Second
	lookback       = 5 * time.Minute // the default of Prometheus
)

// strict parses queries as Prometheus does without flags.
var strict = parser.NewParser(parser.Options{})

// A history has the series of one Prometheus over time, made of recorded scrapes.
type history struct {
	t      *testing.T
	db     *teststorage.TestStorage
	engine *promql.Engine
	start  time.Time
	now    time.Time
}

// newHistory returns an empty history, which starts when the recordings were made, because they
// contain the times at which certificates expire.
func newHistory(t *testing.T) *history {
	t.Helper()
	started := recordedAt(t)
	return &history{
		t: t, db: teststorage.New(t), start: started, now: started,
		engine: promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
			MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: lookback, EnableAtModifier: true, EnableNegativeOffset: true, Parser: strict,
		}),
	}
}

// recordedAt returns the time at which the runner of the recordings started.
func recordedAt(t *testing.T) time.Time {
	t.Helper()
	for _, s := range load(t, "outage/1-connected") {
		if s.labels.Get(model.MetricNameLabel) == "process_start_time_seconds" {
			return time.Unix(int64(s.value), 0)
		}
	}
	t.Fatal("the recording has no process_start_time_seconds")
	return time.Time{}
}

// stay scrapes the same values for a time.
func (h *history) stay(long time.Duration, targets ...[]sample) {
	h.t.Helper()
	for end := h.now.Add(long); h.now.Before(end); h.now = h.now.Add(scrapeInterval) {
		app := h.db.Appender(h.t.Context())
		for _, samples := range targets {
			for _, s := range samples {
				if _, err := app.Append(0, s.labels, h.now.UnixMilli(), s.value); err != nil {
					h.t.Fatalf("%s: %v", s.labels, err)
				}
			}
		}
		if err := app.Commit(); err != nil {
			h.t.Fatal(err)
		}
	}
}

// over evaluates a query at all times of the history.
func (h *history) over(query string, step time.Duration) (out promql.Matrix) {
	h.t.Helper()
	q, err := h.engine.NewRangeQuery(h.t.Context(), h.db, nil, query, h.start, h.last(), step)
	if err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	defer q.Close()
	series, err := q.Exec(h.t.Context()).Matrix()
	if err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	for _, s := range series {
		out = append(out, promql.Series{Metric: s.Metric, Floats: slices.Clone(s.Floats)}) // Close gives the points back
	}
	return out
}

// last returns the time of the latest scrape.
func (h *history) last() time.Time { return h.now.Add(-scrapeInterval) }

// instant evaluates a query.
func (h *history) instant(query string, at time.Time) promql.Vector {
	h.t.Helper()
	q, err := h.engine.NewInstantQuery(h.t.Context(), h.db, nil, query, at)
	if err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	defer q.Close()
	result := q.Exec(h.t.Context())
	if result.Err != nil {
		h.t.Fatalf("%s: %v", query, result.Err)
	}
	switch value := result.Value.(type) {
	case promql.Vector:
		return append(promql.Vector(nil), value...)
	case promql.Scalar:
		return promql.Vector{{T: value.T, F: value.V}}
	}
	h.t.Fatalf("%s returns a %s", query, result.Value.Type())
	return nil
}
