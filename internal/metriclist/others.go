// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package metriclist

// A Source is a program, or a library of a program, whose metrics the rules and dashboards use.
type Source string

// Sources of metrics that are not of the project.
const (
	// FromGo has metrics of the library client_golang, which the runner and the operator serve.
	FromGo Source = "client_golang"
	// FromControllerRuntime has metrics of controller-runtime and client-go, which the operator
	// serves.
	FromControllerRuntime Source = "controller-runtime"
	// FromKubeStateMetrics has metrics of kube-state-metrics.
	FromKubeStateMetrics Source = "kube-state-metrics"
)

// An Other is a metric of another project that a rule or a dashboard uses.
type Other struct {
	Name   string
	Type   Type
	Source Source
	Labels []string
}

// Others are all metrics of other projects that rules and dashboards may use.
var Others = []Other{
	{"process_cpu_seconds_total", Counter, FromGo, nil},
	{"process_resident_memory_bytes", Gauge, FromGo, nil},

	{"controller_runtime_reconcile_total", Counter, FromControllerRuntime, []string{"controller", "result"}},
	{"controller_runtime_reconcile_errors_total", Counter, FromControllerRuntime, []string{"controller"}},
	{"controller_runtime_reconcile_time_seconds", Histogram, FromControllerRuntime, []string{"controller"}},
	{"workqueue_depth", Gauge, FromControllerRuntime, []string{"name", "controller", "priority"}},
	{"rest_client_requests_total", Counter, FromControllerRuntime, []string{"code", "host", "method"}},
	{"leader_election_master_status", Gauge, FromControllerRuntime, []string{"name"}},

	{"kube_pod_container_status_restarts_total", Counter, FromKubeStateMetrics, []string{"namespace", "pod", "uid", "container"}},
	{"kube_pod_container_status_last_terminated_reason", Gauge, FromKubeStateMetrics, []string{"namespace", "pod", "uid", "container", "reason"}},
}
