// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// BridgeMetrics are the metrics of each bridge that the operator reconciles. Each pass records
// the values of its bridge, so that only the active replica has them: with two replicas, no
// series is doubled. The metrics are made of the values when they are read, because 10,000
// bridges would need 22 to 30 MB in vectors of gauges, instead of 1 MB (BenchmarkBridgeMetrics). A nil
// *BridgeMetrics records nothing.
//
// Lock order: mu is taken with no other lock held.
type BridgeMetrics struct {
	mu      sync.Mutex // guards bridges
	bridges map[client.ObjectKey]bridgeValues
}

// bridgeValues are the values of the metrics of one bridge.
type bridgeValues struct {
	ready, degraded, stalled, suspended bool
	localPlace, remotePlace             int32 // 0: no server is in use
	generationLag                       int64
}

// NewBridgeMetrics returns metrics without bridges.
func NewBridgeMetrics() *BridgeMetrics {
	return &BridgeMetrics{bridges: map[client.ObjectKey]bridgeValues{}}
}

// The metrics of a bridge.
var (
	descReady     = bridgeDesc("mqttbridge_bridge_ready")
	descDegraded  = bridgeDesc("mqttbridge_bridge_degraded")
	descStalled   = bridgeDesc("mqttbridge_bridge_stalled")
	descSuspended = bridgeDesc("mqttbridge_bridge_suspended")
	descPlace     = bridgeDesc("mqttbridge_bridge_active_server_place")
	descLag       = bridgeDesc("mqttbridge_bridge_generation_lag")
)

func bridgeDesc(name string) *prometheus.Desc {
	m := metriclist.Get(name, metriclist.Gauge)
	return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
}

// valuesOf returns the values that the status of a bridge shows.
func valuesOf(b *v1alpha1.MQTTBridge) bridgeValues {
	v := bridgeValues{
		ready:       conditionTrue(b, v1alpha1.ConditionReady),
		degraded:    conditionTrue(b, v1alpha1.ConditionDegraded),
		stalled:     conditionTrue(b, v1alpha1.ConditionStalled),
		suspended:   conditionTrue(b, v1alpha1.ConditionSuspended),
		localPlace:  activePlace(b.Status.Local),
		remotePlace: activePlace(b.Status.Remote),
	}
	if !v.suspended {
		v.generationLag = b.Generation - ptr.Deref(b.Status.ActiveRunner(), v1alpha1.RunnerStatus{}).Generation
	}
	return v
}

func activePlace(side *v1alpha1.SideStatus) int32 {
	if side == nil || side.Active == nil {
		return 0
	}
	return side.Active.Place
}

// record records the values of a bridge.
func (m *BridgeMetrics) record(b *v1alpha1.MQTTBridge) {
	if m == nil {
		return
	}
	v := valuesOf(b)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bridges[client.ObjectKeyFromObject(b)] = v
}

// forget removes the metrics of a bridge that the operator does not reconcile, or no longer.
func (m *BridgeMetrics) forget(bridge client.ObjectKey) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.bridges, bridge)
}

// Describe implements prometheus.Collector.
func (m *BridgeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descDegraded, descStalled, descSuspended, descPlace, descLag} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *BridgeMetrics) Collect(ch chan<- prometheus.Metric) {
	all := m.snapshot()
	for i := range all {
		all[i].collect(ch)
	}
}

// namedValues are the values of a bridge, with its name.
type namedValues struct {
	key client.ObjectKey
	bridgeValues
}

// snapshot returns the values of all bridges. The reader of the metrics may be slow, and must
// not hold up the passes.
func (m *BridgeMetrics) snapshot() []namedValues {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]namedValues, 0, len(m.bridges))
	for key, v := range m.bridges {
		out = append(out, namedValues{key, v})
	}
	return out
}

func (b *namedValues) collect(ch chan<- prometheus.Metric) {
	// The metrics of a bridge share their labels, which are in alphabetical order.
	labels := []*dto.LabelPair{{Name: ptr.To("name"), Value: &b.key.Name}, {Name: ptr.To("namespace"), Value: &b.key.Namespace}}
	ch <- gauge{descReady, labels, one(b.ready)}
	ch <- gauge{descDegraded, labels, one(b.degraded)}
	ch <- gauge{descStalled, labels, one(b.stalled)}
	ch <- gauge{descSuspended, labels, one(b.suspended)}
	ch <- gauge{descPlace, append(slices.Clone(labels), localSide), float64(b.localPlace)}
	ch <- gauge{descPlace, append(slices.Clone(labels), remoteSide), float64(b.remotePlace)}
	ch <- gauge{descLag, labels, float64(b.generationLag)}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// The values of the label side.
var (
	localSide  = &dto.LabelPair{Name: ptr.To("side"), Value: ptr.To("local")}
	remoteSide = &dto.LabelPair{Name: ptr.To("side"), Value: ptr.To("remote")}
)

// gauge is a metric with a constant value. It needs less memory than the constant metrics of
// package prometheus, which have labels of their own.
type gauge struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair
	value  float64
}

// Desc implements prometheus.Metric.
func (g gauge) Desc() *prometheus.Desc { return g.desc }

// Write implements prometheus.Metric.
func (g gauge) Write(out *dto.Metric) error {
	out.Label, out.Gauge = g.labels, &dto.Gauge{Value: &g.value}
	return nil
}
