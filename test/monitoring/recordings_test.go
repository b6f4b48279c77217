// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// A sample is the value of a series in a scrape.
type sample struct {
	labels labels.Labels
	value  float64
}

// load returns the samples of a recorded scrape.
func load(t *testing.T, recording string) []sample {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", recording+".prom"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, data)
}

// parse returns the samples of a scrape.
func parse(t *testing.T, data []byte) (out []sample) {
	t.Helper()
	p, err := textparse.New(data, "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		_, _, value := p.Series()
		out = append(out, sample{l, value})
	}
}

// in returns the samples with the labels of the target that Prometheus adds. A label that the
// sample has stays, as with honor_labels.
func in(samples []sample, target ...string) []sample {
	out := make([]sample, len(samples))
	for i, s := range samples {
		b := labels.NewBuilder(s.labels)
		for j := 0; j < len(target); j += 2 {
			if !s.labels.Has(target[j]) {
				b.Set(target[j], target[j+1])
			}
		}
		out[i] = sample{b.Labels(), s.value}
	}
	return out
}

// with returns the samples with another value for all series of a metric that have the given
// labels. It fails the test if there is none.
func with(t *testing.T, samples []sample, value float64, name string, pairs ...string) []sample {
	t.Helper()
	out, found := append([]sample(nil), samples...), false
	for i, s := range out {
		if matches(s, name, pairs) {
			out[i].value, found = value, true
		}
	}
	if !found {
		t.Fatalf("no recorded series %s has the labels %v", name, pairs)
	}
	return out
}

func matches(s sample, name string, pairs []string) bool {
	if s.labels.Get(model.MetricNameLabel) != name {
		return false
	}
	for i := 0; i < len(pairs); i += 2 {
		if s.labels.Get(pairs[i]) != pairs[i+1] {
			return false
		}
	}
	return true
}
