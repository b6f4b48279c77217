// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// vector has the series of a counter or a gauge whose first labels have the given values. It is
// used in place of the vectors of package prometheus, which need several times the memory: a
// process may have thousands of bridges, and each has about 20 vectors. Its methods may be called
// from any goroutine.
type vector struct {
	*seriesSet
	labels []string // the values of the first labels
}

// seriesSet has all series of one name.
type seriesSet struct {
	desc *prometheus.Desc
	kind prometheus.ValueType

	mu     sync.Mutex
	series []*series // in the order of their labels
}

// series is a counter or a gauge.
type series struct {
	labels []string
	// value is the count of a counter, and the bits of the float64 of a gauge.
	value atomic.Uint64
}

// descriptions has the description of each metric, which all bridges of the process share.
var descriptions sync.Map

func describe(m metriclist.Metric) *prometheus.Desc {
	if d, ok := descriptions.Load(m.Name); ok {
		return d.(*prometheus.Desc)
	}
	d, _ := descriptions.LoadOrStore(m.Name, prometheus.NewDesc(m.Name, m.Help, m.Labels, nil))
	return d.(*prometheus.Desc)
}

// newVector returns the vector of a counter or a gauge.
func newVector(m metriclist.Metric) vector {
	kind := prometheus.GaugeValue
	if m.Type == metriclist.Counter {
		kind = prometheus.CounterValue
	}
	return vector{seriesSet: &seriesSet{desc: describe(m), kind: kind}}
}

// of returns the vector whose next labels have these values.
func (v vector) of(labels ...string) vector {
	return vector{v.seriesSet, slices.Concat(v.labels, labels)}
}

// with returns the series whose remaining labels have these values. It creates the series with the
// value 0 if there is none.
func (v vector) with(labels ...string) *series {
	v.mu.Lock()
	defer v.mu.Unlock()
	i, found := sort.Find(len(v.series), func(i int) int { return -v.compare(v.series[i], labels) })
	if !found {
		v.series = slices.Insert(v.series, i, &series{labels: append(slices.Clip(v.labels), labels...)})
	}
	return v.series[i]
}

// compare compares the labels of s with the first labels of the vector and the given labels.
func (v vector) compare(s *series, labels []string) int {
	n := len(v.labels)
	return cmp.Or(slices.Compare(s.labels[:n], v.labels), slices.Compare(s.labels[n:], labels))
}

// remove removes all series whose next labels have these values.
func (v vector) remove(labels ...string) {
	first := slices.Concat(v.labels, labels)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.series = slices.DeleteFunc(v.series, func(s *series) bool { return slices.Equal(s.labels[:len(first)], first) })
}

func (s *series) inc() { s.value.Add(1) }

// add adds n to a counter.
func (s *series) add(n int) { s.value.Add(uint64(n)) } //nolint:gosec // n is not negative

// set sets a gauge.
func (s *series) set(value float64) { s.value.Store(math.Float64bits(value)) }

// Describe implements prometheus.Collector.
func (s *seriesSet) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- s.desc }

// Collect implements prometheus.Collector.
func (s *seriesSet) Collect(metrics chan<- prometheus.Metric) {
	s.mu.Lock()
	all := slices.Clone(s.series)
	s.mu.Unlock()
	for _, one := range all {
		metrics <- prometheus.MustNewConstMetric(s.desc, s.kind, s.read(one), one.labels...)
	}
}

// read returns the value of a series.
func (s *seriesSet) read(one *series) float64 {
	bits := one.value.Load()
	if s.kind == prometheus.GaugeValue {
		return math.Float64frombits(bits)
	}
	return float64(bits)
}

// histogram has the series of a histogram. It makes them when they are first used, because a
// series of a histogram needs much memory.
type histogram struct {
	desc    *prometheus.Desc
	metric  metriclist.Metric
	buckets []float64

	mu   sync.Mutex
	made *prometheus.HistogramVec // nil before the first series
}

func newHistogram(name string, buckets []float64) *histogram {
	m := metriclist.Get(name, metriclist.Histogram)
	return &histogram{desc: describe(m), metric: m, buckets: buckets}
}

// with returns the series with these labels. It creates the series if there is none.
func (h *histogram) with(labels ...string) prometheus.Observer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.made == nil {
		h.made = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: h.metric.Name, Help: h.metric.Help, Buckets: h.buckets}, h.metric.Labels)
	}
	return h.made.WithLabelValues(labels...)
}

// Describe implements prometheus.Collector.
func (h *histogram) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- h.desc }

// Collect implements prometheus.Collector.
func (h *histogram) Collect(metrics chan<- prometheus.Metric) {
	h.mu.Lock()
	made := h.made
	h.mu.Unlock()
	if made != nil {
		made.Collect(metrics)
	}
}
